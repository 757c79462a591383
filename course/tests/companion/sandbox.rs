//! A checkout of its own for each test, and the companion at work in it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::starter;

/// A chapter that has exercises.
#[derive(Clone, Debug)]
pub(crate) struct Chapter {
    /// Its folder: `04-park`.
    pub(crate) slug: String,
}

impl Chapter {
    /// All chapters that have exercises.
    pub(crate) fn all() -> Vec<Self> {
        let mut chapters = fs::read_dir(repository().join("chapters"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("starter.rs").exists())
            .map(|entry| Chapter { slug: entry.file_name().into_string().unwrap() })
            .collect::<Vec<_>>();
        chapters.sort_by(|a, b| a.slug.cmp(&b.slug));
        chapters
    }

    /// The chapter that most tests use.
    pub(crate) fn park() -> Self {
        Chapter { slug: "04-park".to_owned() }
    }

    /// `4`.
    pub(crate) fn number(&self) -> u32 {
        self.slug[..2].parse().unwrap()
    }

    /// `my_04_park`.
    pub(crate) fn test(&self) -> String {
        format!("my_{}", self.slug.replace('-', "_"))
    }

    /// The reader's file with the reference's code in all holes but those that are `open`.
    pub(crate) fn filled(&self, open: impl Fn(&str) -> bool) -> String {
        let (layer, extend) = self.reference();
        starter::starter(&layer, &extend, open) + &starter::tail(&self.slug)
    }

    /// The reader's file, all holes filled as in the reference but for one.
    pub(crate) fn filled_but(&self, hole: &str, code: &str) -> String {
        let text = self.filled(|number| number == hole);
        let at = text.find(&format!("todo!(\"{hole}: ")).unwrap();
        let line = text[at..].lines().next().unwrap();
        text.replace(line, code)
    }

    /// The chapter's holes, in order.
    pub(crate) fn holes(&self) -> Vec<starter::Hole> {
        let (layer, extend) = self.reference();
        [starter::holes(&layer), starter::holes(&extend)].concat()
    }

    /// The layer, and what the chapter asks beyond it.
    fn reference(&self) -> (String, String) {
        let layer = format!("src/ch{}.rs", self.slug.replace('-', "_"));
        let extend = format!("chapters/{}/extend.rs", self.slug);
        let whole = starter::whole(&layer, |path| fs::read_to_string(repository().join(path)));
        (whole.unwrap(), read(repository().join(extend)))
    }
}

/// A copy of the repository, with a target folder of its own, and gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// The folder that both are in.
    folder: TempDir,
}

impl Sandbox {
    /// A fresh clone.
    pub(crate) fn new() -> Self {
        // Beside what cargo builds, so that the dependencies can be linked instead of copied.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let sandbox = Sandbox { folder };
        for entry in fs::read_dir(repository()).unwrap() {
            let part = entry.unwrap().file_name().into_string().unwrap();
            if part != "target" && part != ".git" {
                copy(&repository().join(&part), &sandbox.path(&part));
            }
        }
        sandbox
    }

    /// A fresh clone, and its book, which is built once for all tests.
    pub(crate) fn with_book() -> Self {
        static BOOK: OnceLock<Files> = OnceLock::new();
        let book = BOOK.get_or_init(|| {
            let sandbox = Sandbox::new();
            run(sandbox.course(&[])).ends_with(0);
            Files::of(&sandbox.target(""), &["book"], |_| true)
        });
        let sandbox = Sandbox::new();
        book.lay_out(&sandbox.target(""));
        sandbox
    }

    /// A fresh clone in which something is going to be compiled. The layers, and chapter 4 with its
    /// checks, are compiled once for all tests: what is the same need not be compiled again.
    pub(crate) fn to_build_in() -> Self {
        static BUILT: OnceLock<Files> = OnceLock::new();
        let fresh = || {
            let sandbox = Sandbox::new();
            sandbox.borrow_dependencies();
            sandbox
        };
        let built = BUILT.get_or_init(|| {
            let (sandbox, chapter) = (fresh(), Chapter::park());
            sandbox.write("tests/my_04_park.rs", chapter.filled(|_| true));
            run(sandbox.cargo(&["test", "--no-run", "--test", &chapter.test()])).ends_with(0);
            let folders = ["debug/.fingerprint", "debug/deps", "debug/incremental"];
            Files::of(&sandbox.target(""), &folders, is_ours)
        });
        let sandbox = fresh();
        built.lay_out(&sandbox.target(""));
        sandbox
    }

    /// A file of the checkout.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("checkout").join(path)
    }

    /// A file of the target folder.
    pub(crate) fn target(&self, path: &str) -> PathBuf {
        self.folder.path().join("target").join(path)
    }

    /// What stands in a file of the checkout.
    pub(crate) fn read(&self, path: &str) -> String {
        read(self.path(path))
    }

    /// Writes a file of the checkout.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(path), text).unwrap();
    }

    /// The files of a folder whose names begin with `start`, in order.
    pub(crate) fn list(&self, folder: &str, start: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names = names.filter(|name| name.starts_with(start)).collect::<Vec<_>>();
        names.sort();
        names
    }

    /// `cargo course`, with these arguments, ready to be run.
    pub(crate) fn course(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_course"));
        command.args(arguments);
        command
    }

    /// As [`course`](Self::course), where there is no cargo: what happens before it is needed.
    pub(crate) fn course_without_cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.course(arguments);
        command.env("CARGO", self.path("no-cargo-here"));
        command
    }

    /// As [`course_without_cargo`](Self::course_without_cargo), with so many open files at most.
    #[cfg(unix)]
    pub(crate) fn course_with_files(&self, files: u64, arguments: &[&str]) -> Command {
        let mut command = self.command("sh");
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_course")]).args(arguments);
        command.env("CARGO", self.path("no-cargo-here"));
        command
    }

    /// Plain cargo.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO"));
        command.args(arguments).arg("--offline");
        command
    }

    /// How long plain cargo takes here, at this moment, to find that it has nothing to do: on a
    /// machine that is busy with other things, everything takes longer.
    pub(crate) fn usual(&self) -> Duration {
        run(self.cargo(&["test", "--no-run", "--test", "my_04_park"])).time
    }

    /// A program that works in this checkout, without a terminal.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path(""))
            .env("UNDER_AWAIT_ROOT", self.path(""))
            .env("CARGO_TARGET_DIR", self.target(""))
            // It halves the time that compiling takes.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            // The same file is compiled again after each step, whatever the tests themselves are made by.
            .env("CARGO_INCREMENTAL", "1")
            .env_remove("CLICOLOR_FORCE")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WSL_DISTRO_NAME")
            .stdin(Stdio::null());
        command
    }

    /// Links what cargo has built of other people's crates for this very test into our target
    /// folder: the nested cargo need not build it again. If it cannot use it, it builds it.
    fn borrow_dependencies(&self) {
        let built = Path::new(env!("CARGO_BIN_EXE_course")).parent().unwrap();
        for folder in ["deps", "build", ".fingerprint"] {
            let Ok(entries) = fs::read_dir(built.join(folder)) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                let is_library = name.starts_with("lib");
                if !is_ours(&name) && (folder != "deps" || is_library) {
                    link(&entry.path(), &self.target("debug").join(folder).join(name));
                }
            }
        }
    }

    /// The processes that come from this sandbox's target folder.
    #[cfg(target_os = "linux")]
    pub(crate) fn processes(&self) -> Vec<String> {
        let from_here = |path: PathBuf| {
            let exe = fs::read_link(path.join("exe")).ok()?;
            exe.starts_with(self.target("")).then(|| exe.display().to_string())
        };
        let processes = fs::read_dir("/proc").unwrap();
        processes.filter_map(|process| from_here(process.ok()?.path())).collect()
    }

    /// The processes that come from this sandbox's target folder: not known on this system.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn processes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Whether cargo has made a file of this name from this repository, and not from other people's crates.
fn is_ours(name: &str) -> bool {
    let names = ["under-await", "under_await", "course", "loom-tests", "loom_tests", "my_04_park"];
    let name = name.strip_prefix("lib").unwrap_or(name);
    names.iter().any(|ours| name.starts_with(ours))
}

/// Files as they once were: where, since when, and what was in them.
#[derive(Debug)]
struct Files(Vec<(PathBuf, SystemTime, Vec<u8>)>);

impl Files {
    /// What is in these folders of `root`, as far as it is in them under a name that is `wanted`.
    fn of(root: &Path, folders: &[&str], wanted: impl Fn(&str) -> bool) -> Self {
        let mut files = Vec::new();
        for entry in folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap()) {
            let entry = entry.unwrap();
            if wanted(&entry.file_name().to_string_lossy()) {
                let inside = entry.path().strip_prefix(root).unwrap().to_owned();
                walk(&entry.path(), &inside, &mut |from, to| {
                    let since = fs::metadata(from).unwrap().modified().unwrap();
                    files.push((to.to_owned(), since, fs::read(from).unwrap()));
                });
            }
        }
        Files(files)
    }

    /// Puts them where they were, seen from `root`.
    fn lay_out(&self, root: &Path) {
        for (path, since, bytes) in &self.0 {
            write(&root.join(path), bytes, *since);
        }
    }
}

/// What a command printed, how it ended and how long it took.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
    pub(crate) time: Duration,
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that standard output contains `text`.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "`{text}` is not in the output of\n{self}");
        self
    }

    /// Asserts that standard error contains `text`.
    #[track_caller]
    pub(crate) fn notes(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is not in the errors of\n{self}");
        self
    }

    /// Asserts that standard error is empty.
    #[track_caller]
    pub(crate) fn notes_nothing(self) -> Self {
        assert_eq!(self.err, "", "{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--- out\n{}\n--- err\n{}\n--- code {:?}", self.out, self.err, self.code)
    }
}

/// Runs a command to its end. Nothing that it prints may hold an escape or speak of a panic.
#[track_caller]
pub(crate) fn run(mut command: Command) -> Outcome {
    let outcome = run_in_colour(&mut command);
    for text in [&outcome.out, &outcome.err] {
        assert!(!text.contains('\x1b'), "an escape without a terminal:\n{outcome}");
        assert!(!text.contains("panicked at"), "{outcome}");
        assert!(!text.contains("stack backtrace"), "{outcome}");
    }
    outcome
}

/// Runs a command to its end, whatever it prints.
pub(crate) fn run_in_colour(command: &mut Command) -> Outcome {
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let mut errors = child.stderr.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| errors.read_to_string(&mut err).unwrap());
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    });
    let code = child.wait().unwrap().code();
    Outcome { out, err, code, time: start.elapsed() }
}

/// What is printed, line by line, while it is.
#[derive(Debug)]
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    /// The lines of a pipe or a terminal.
    pub(crate) fn of(pipe: impl Read + Send + 'static) -> Self {
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|l| send.send(l))
        });
        Lines(lines)
    }

    /// Waits for a line that contains `text`, and gives all up to that one.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        // Generous: what counts is asserted by the caller.
        while let Ok(line) = self.0.recv_timeout(scaled(Duration::from_secs(60))) {
            seen.push(line);
            if seen.last().is_some_and(|line| line.contains(text)) {
                return seen;
            }
        }
        panic!("`{text}` does not come, but:\n{}", seen.join("\n"));
    }

    /// Asserts that nothing more is printed for a while.
    #[track_caller]
    pub(crate) fn are_over(&self) {
        let more = self.0.recv_timeout(Duration::from_millis(500));
        assert!(more.is_err(), "{more:?}");
    }
}

/// `limit`, times what `UNDER_AWAIT_TIME_SCALE` says: for machines that are slow or busy.
pub(crate) fn scaled(limit: Duration) -> Duration {
    let scale = std::env::var("UNDER_AWAIT_TIME_SCALE").ok().and_then(|scale| scale.parse().ok());
    limit.mul_f64(scale.unwrap_or(1.0))
}

/// Waits until `holds`, and says whether it did in time.
pub(crate) fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !holds() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// The repository this test was built from.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What stands in a file.
fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies a file, or a folder without what a reader has made in it.
fn copy(from: &Path, to: &Path) {
    walk(from, to, &mut |from, to| {
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("my_") {
            write(to, &fs::read(from).unwrap(), fs::metadata(from).unwrap().modified().unwrap());
        }
    });
}

/// Links a file, or all that is in a folder.
fn link(from: &Path, to: &Path) {
    walk(from, to, &mut |from, to| {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let _ = fs::hard_link(from, to);
    });
}

/// Writes a file as old as that; cargo goes by its age. Makes the folder that it is in.
fn write(path: &Path, bytes: &[u8], since: SystemTime) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_modified(since).unwrap();
}

/// Does something with a file, or with each in a folder, and with where it belongs in `to`. What is
/// not there is passed over.
fn walk(from: &Path, to: &Path, each: &mut impl FnMut(&Path, &Path)) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            walk(&entry.path(), &to.join(entry.file_name()), each);
        }
    } else if from.exists() {
        each(from, to);
    }
}
