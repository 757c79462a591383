//! Checks whenever the reader saves.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use crate::chapters::Chapter;
use crate::check;
use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::files;
#[cfg(unix)]
use crate::serve;
use crate::term::{Busy, DIM, WIDTH, columns, note, say, styled};

/// How long nothing must happen before a save counts as finished: editors save in several steps.
const QUIET: Duration = Duration::from_millis(40);
/// How long a save may take at most.
const LONGEST: Duration = Duration::from_millis(400);
/// How often files are looked at where the system tells nothing.
const LOOK: Duration = Duration::from_millis(300);

/// `cargo course watch`: checks `first`, and then whatever is saved, until it is interrupted.
pub(crate) fn command(checkout: &Checkout, chapters: &[Chapter], first: &Chapter) -> Result<()> {
    if !checkout.root.join(first.file()).exists() {
        files::ready(checkout, first)?;
    }
    let tests = checkout.root.join("tests");
    let (send, events) = mpsc::channel();
    let _watcher = watcher(&[(&tests, RecursiveMode::NonRecursive)], move |event| {
        // The receiver is gone only when the process ends.
        let _ = send.send(event);
    })?;
    #[cfg(unix)]
    let _server = serve::beside(checkout)?;
    say("Every save of tests/my_*.rs is checked. Ctrl-C ends this.")?;
    let mut saves = Saves { events, chapters, came: None };
    let mut chapter = first;
    loop {
        say(rule(chapter))?;
        if let Some(text) = saved(checkout, chapter) {
            answer(checkout, chapters, chapter, &text, &mut saves)?;
        }
        chapter = saves.next(&tests)?;
    }
}

/// What was saved, or `None` after having said why there is nothing to check.
fn saved(checkout: &Checkout, chapter: &Chapter) -> Option<String> {
    let (file, number) = (chapter.file(), chapter.number);
    if !checkout.root.join(&file).exists() {
        note(format!(
            "{file} is gone. Save it again and it is checked; `cargo course check {number}` makes \
             a fresh one."
        ));
        return None;
    }
    match files::ready(checkout, chapter) {
        Ok(text) => Some(text),
        Err(failure) => {
            // Whatever it is, the next save may be better.
            failure.report();
            None
        }
    }
}

/// Checks a chapter and prints the answer. A save that changes the file calls the check off.
fn answer(
    checkout: &Checkout,
    chapters: &[Chapter],
    chapter: &Chapter,
    text: &str,
    saves: &mut Saves<'_>,
) -> Result<()> {
    let changed = || checkout.read(&chapter.file()).ok().as_deref() != Some(text);
    let mut again = || saves.came_besides(chapter, changed);
    let busy = Busy::with("checking", Duration::ZERO);
    let checked = check::check(checkout, chapter, text, &busy, &mut again);
    drop(busy);
    // What came with the check itself, and with its own writing, needs no second answer.
    again();
    match checked {
        Ok(answer) => check::print(checkout, chapters, chapter, &answer),
        Err(failure) => {
            failure.report();
            Ok(())
        }
    }
}

/// The line between two answers.
fn rule(chapter: &Chapter) -> String {
    let title = format!("── {} · {} ", chapter.number, chapter.name);
    let rest = "─".repeat(WIDTH.saturating_sub(columns(&title)));
    format!("\n{}\n", styled(DIM, title + &rest))
}

/// Watches folders: by the system's means, or by looking at them again and again.
pub(crate) fn watcher(
    folders: &[(impl AsRef<Path>, RecursiveMode)],
    tell: impl Fn(notify::Result<Event>) + Clone + Send + 'static,
) -> Result<Box<dyn Watcher>> {
    let watch = |mut watcher: Box<dyn Watcher>| {
        for (folder, mode) in folders.iter().filter(|(folder, _)| folder.as_ref().exists()) {
            watcher.watch(folder.as_ref(), *mode)?;
        }
        Ok(watcher)
    };
    let system = RecommendedWatcher::new(tell.clone(), Config::default());
    // The system's watches can be used up, or missing on a network drive.
    let watcher = system.and_then(|watcher| watch(Box::new(watcher))).or_else(|_| {
        let config = Config::default().with_poll_interval(LOOK).with_compare_contents(true);
        watch(Box::new(PollWatcher::new(tell, config)?))
    });
    watcher.map_err(|error: notify::Error| {
        Failure::unusable(format!("The files cannot be watched: {error}."))
    })
}

/// The saves of readers' files.
struct Saves<'a> {
    /// What happens in the folder.
    events: Receiver<notify::Result<Event>>,
    /// The chapters whose files count.
    chapters: &'a [Chapter],
    /// The chapter that was saved while another check was running.
    came: Option<&'a Chapter>,
}

impl<'a> Saves<'a> {
    /// Waits for the next save, and for its end.
    fn next(&mut self, folder: &Path) -> Result<&'a Chapter> {
        let gone = || Failure::unusable(format!("{} is gone.", folder.display()));
        let mut saved = self.came.take();
        while saved.is_none() {
            let event = self.events.recv().map_err(|_| gone())?;
            saved = self.saved(event);
            if saved.is_none() && !folder.exists() {
                return Err(gone());
            }
        }
        let start = Instant::now();
        while let Ok(event) = self.events.recv_timeout(QUIET) {
            saved = self.saved(event).or(saved);
            if start.elapsed() > LONGEST {
                break;
            }
        }
        saved.ok_or_else(gone)
    }

    /// Whether something else than `chapter` was saved, or `chapter` and it has `changed`.
    fn came_besides(&mut self, chapter: &Chapter, changed: impl Fn() -> bool) -> bool {
        while let Ok(event) = self.events.try_recv() {
            if let Some(saved) = self.saved(event).filter(|saved| *saved != chapter || changed()) {
                self.came = Some(saved);
            }
        }
        self.came.is_some()
    }

    /// The chapter whose file this event changed, if it did.
    fn saved(&self, event: notify::Result<Event>) -> Option<&'a Chapter> {
        let event = event.ok()?;
        let mere_look = EventKind::Access(AccessKind::Close(AccessMode::Write)) != event.kind
            && matches!(event.kind, EventKind::Access(_));
        let of = |chapter: &&Chapter| {
            let name = format!("{}.rs", chapter.test());
            let named = |path: &std::path::PathBuf| path.file_name() == Some(OsStr::new(&name));
            chapter.written && event.paths.iter().any(named)
        };
        self.chapters.iter().find(of).filter(|_| !mere_look)
    }
}
