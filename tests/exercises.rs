//! The exercises, proved: every check passes on the reference and on the outside oracle, fails on
//! the starter with the next TODO, and turns every classic mistake down with the right tag.

#![cfg(not(miri))] // Starts processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::exam::{Check, Verdict};
use support::{pass_all, story, verdicts};

#[allow(unused)]
mod support;

#[path = "../course/src/starter.rs"]
#[allow(dead_code)]
mod starter;

#[rustfmt::skip] // It is generated.
#[path = "../chapters/04-park/starter.rs"]
mod starter_04;

/// A chapter's subjects of examination, each beside the suite that examines it: the reference, the
/// outside oracle, the starter and the classic mistakes.
macro_rules! chapter {
    (
        $chapter:ident, $folder:literal, $suite:literal, $layer:ident, $starter:ident,
        oracle { $($oracle:item)* } except { $($except:ident)* }
        mistakes { $($mistake:ident)* }
    ) => {
        #[allow(unused, unreachable_pub, unfulfilled_lint_expectations)]
        mod $chapter {
            /// The right answers.
            pub mod reference {
                pub mod subject {
                    pub use under_await::$layer::*;
                    pub mod extend { include!(chapter!(@ $folder "/extend.rs")); }
                }
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
            }
            /// Other people's right answers, and ours where they have none.
            pub mod oracle {
                pub mod subject {
                    pub use super::super::reference::subject::*;
                    $($oracle)*
                }
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
            }
            pub mod starter {
                use crate::$starter as subject;
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
            }
            /// Wrong answers: what a mistake defines hides what the reference defines.
            pub mod mistakes {
                $( pub mod $mistake {
                    pub mod subject {
                        pub use super::super::super::reference::subject::*;
                        include!(chapter!(@ $folder "/mistakes/" $mistake ".rs"));
                    }
                    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
                } )*
            }
            pub const CHAPTER: $crate::Chapter = $crate::Chapter {
                folder: $folder,
                suite: $suite,
                layer: stringify!($layer),
                reference: reference::CHECKS,
                oracle: oracle::CHECKS,
                not_for_the_oracle: &[$(stringify!($except)),*],
                starter: starter::CHECKS,
                mistakes: &[ $( $crate::Mistake {
                    file: stringify!($mistake),
                    source: include_str!(chapter!(@ $folder "/mistakes/" $mistake ".rs")),
                    checks: mistakes::$mistake::CHECKS,
                } ),* ],
            };
        }
    };
    (@ $folder:literal $($part:tt)*) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/chapters/", $folder, $(chapter!(% $part)),*)
    };
    (% $part:literal) => { $part };
    (% $part:ident) => { stringify!($part) };
}

/// All that is examined of a chapter.
struct Chapter {
    /// Its folder in `chapters/`.
    folder: &'static str,
    /// The name of its suite, which the reader's file shares.
    suite: &'static str,
    /// The name of its layer.
    layer: &'static str,
    reference: &'static [Check],
    oracle: &'static [Check],
    /// The checks on which the oracle differs by design.
    not_for_the_oracle: &'static [&'static str],
    starter: &'static [Check],
    mistakes: &'static [Mistake],
}

/// A classic mistake, in its own file.
struct Mistake {
    file: &'static str,
    source: &'static str,
    checks: &'static [Check],
}

impl Mistake {
    /// The tag that the mistake gets, and the check that turns it down: its first line says
    /// `// [tag] check`.
    fn expected(&self) -> (&'static str, &'static str) {
        let line = self.source.lines().next().unwrap_or_default();
        let expected = line.strip_prefix("// [").and_then(|line| line.split_once("] "));
        expected.unwrap_or_else(|| panic!("{}.rs does not begin with `// [tag] check`", self.file))
    }
}

chapter! {
    ch04, "04-park", "04_park", ch04_park, starter_04,
    // futures' `block_on` refuses to run inside another.
    oracle { pub use futures::executor::block_on; } except { nested }
    mistakes { no_flag cleared_after_the_poll }
}

const CHAPTERS: &[Chapter] = &[ch04::CHAPTER];

#[test]
fn every_check_passes_on_the_reference() {
    CHAPTERS.iter().for_each(|chapter| pass_all(chapter.reference));
}

#[test]
fn every_check_passes_on_the_oracle() {
    for chapter in CHAPTERS {
        let applies = |check: &&Check| !chapter.not_for_the_oracle.contains(&check.name);
        pass_all(&chapter.oracle.iter().filter(applies).copied().collect::<Vec<_>>());
    }
}

/// Where readers begin, every check fails, and says which hole is next. A check may need holes
/// before its own, but none after it.
#[test]
fn every_check_fails_on_the_starter_with_the_next_todo() {
    let starters = CHAPTERS.iter().flat_map(|chapter| chapter.starter);
    let keys = starters.map(|check| (format!("{}/{}", check.hole, check.name), *check));
    let keys = keys.collect::<Vec<_>>();
    let verdicts = verdicts("every_check_fails_on_the_starter_with_the_next_todo", &keys);
    for ((key, check), verdict) in keys.iter().zip(verdicts) {
        let Verdict::Todo(next) = verdict else { panic!("{key} on the starter: {verdict:?}") };
        let number = next.split(':').next().unwrap();
        assert!(order(number) <= order(check.hole), "{key} needs a later hole: {next}");
    }
}

#[test]
fn every_mistake_is_turned_down_with_its_tag() {
    let mistakes = CHAPTERS
        .iter()
        .flat_map(|chapter| chapter.mistakes.iter().map(move |mistake| (chapter.folder, mistake)));
    let (mut keys, mut tags) = (Vec::new(), Vec::new());
    for (folder, mistake) in mistakes {
        let (tag, name) = mistake.expected();
        let key = format!("{folder}/mistakes/{}", mistake.file);
        let check = mistake.checks.iter().find(|check| check.name == name);
        let check = check.unwrap_or_else(|| panic!("{key}: there is no check `{name}`"));
        keys.push((key, *check));
        tags.push(tag);
    }
    let verdicts = verdicts("every_mistake_is_turned_down_with_its_tag", &keys);
    for (((key, check), expected), verdict) in keys.iter().zip(tags).zip(verdicts) {
        let Verdict::Fail(tag, text) = &verdict else { panic!("{key}: {verdict:?}") };
        println!("{key}\n{}\n", story::failure(check, &verdict, "", 0, 1));
        assert_eq!(tag, expected, "{key} was told: {text}");
        story::rule(tag);
    }
}

/// Every mistake in the folders is examined, and every tag has an entry among the symptoms.
#[test]
fn no_mistake_and_no_tag_is_forgotten() {
    for chapter in CHAPTERS {
        let folder = root().join("chapters").join(chapter.folder).join("mistakes");
        let files = fs::read_dir(folder).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        });
        let known = chapter.mistakes.iter().map(|mistake| mistake.file.to_owned());
        assert_eq!(files.collect::<BTreeSet<_>>(), known.collect(), "in {}", chapter.folder);
        assert!(chapter.mistakes.len() >= 2, "{} has fewer than two mistakes", chapter.folder);
    }
}

/// Starters are generated: `BLESS=1 cargo test --test exercises` makes them anew.
#[test]
fn every_starter_is_made_from_its_reference() {
    for chapter in CHAPTERS {
        let folder = root().join("chapters").join(chapter.folder);
        let layer = read(root().join("src").join(format!("{}.rs", chapter.layer)));
        let extend = read(folder.join("extend.rs"));
        let wanted = starter::starter(&layer, &extend, |_| true);
        let path = folder.join("starter.rs");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        assert_eq!(read(&path), wanted, "{} is stale: BLESS=1 cargo test", path.display());
    }
}

/// The holes of a chapter are numbered in order, and each is examined by a check of its own.
#[test]
fn every_hole_has_a_check() {
    for chapter in CHAPTERS {
        let holes = starter::open_holes(&read(
            root().join("chapters").join(chapter.folder).join("starter.rs"),
        ));
        let numbers = holes.iter().map(|hole| order(&hole.number)).collect::<Vec<_>>();
        let first = numbers[0].0;
        let wanted = (1..=holes.len()).map(|n| (first, n)).collect::<Vec<_>>();
        assert_eq!(numbers, wanted, "the holes of {}", chapter.folder);

        let checked = chapter.starter.iter().map(|check| order(check.hole)).collect::<Vec<_>>();
        assert!(
            checked.is_sorted(),
            "the checks of {} are not in the order of holes",
            chapter.suite
        );
        assert_eq!(BTreeSet::from_iter(checked), BTreeSet::from_iter(wanted), "{}", chapter.suite);
    }
}

/// `4.10` comes after `4.9`.
fn order(hole: &str) -> (usize, usize) {
    let (chapter, number) = hole.split_once('.').expect("a hole has two numbers");
    (chapter.parse().unwrap(), number.parse().unwrap())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
