//! What the companion remembers of a chapter: how the last check went, and how many hints it gave.
//!
//! It is a small text file in the target folder. Without it the course goes on as before: a filled
//! exercise has to be checked again, and the hints begin anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::chapters::Chapter;
use crate::checkout::Checkout;

/// What is remembered of a chapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The last check, if the reader's file has not changed since: see [`Memory::of`].
    pub(crate) checked: Option<Checked>,
    /// How many hints were given, by the number of the hole.
    pub(crate) hints: BTreeMap<String, usize>,
}

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// The fingerprint of the file that was checked.
    pub(crate) file: u64,
    /// The hole whose check did not pass, or `None` if all did.
    pub(crate) failed: Option<String>,
}

impl Memory {
    /// What is remembered of `chapter`: nothing, if the file is not there or cannot be read.
    pub(crate) fn of(checkout: &Checkout, chapter: &Chapter) -> Self {
        let text = fs::read_to_string(path(checkout, chapter)).unwrap_or_default();
        let mut memory = Memory::default();
        for line in text.lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                ["checked", file, result] => {
                    memory.checked = u64::from_str_radix(file, 16).ok().map(|file| Checked {
                        file,
                        failed: (result != "passes").then(|| result.to_owned()),
                    });
                }
                ["hints", hole, count] => {
                    let count = count.parse().unwrap_or_default();
                    memory.hints.insert(hole.to_owned(), count);
                }
                _ => {}
            }
        }
        memory
    }

    /// Remembers this of `chapter`, and says whether that was possible.
    pub(crate) fn keep(&self, checkout: &Checkout, chapter: &Chapter) -> bool {
        let mut text = String::new();
        if let Some(Checked { file, failed }) = &self.checked {
            let _ = writeln!(text, "checked {file:x} {}", failed.as_deref().unwrap_or("passes"));
        }
        for (hole, count) in &self.hints {
            let _ = writeln!(text, "hints {hole} {count}");
        }
        let path = path(checkout, chapter);
        let folder = path.parent().map(fs::create_dir_all);
        folder.is_some_and(|made| made.is_ok()) && fs::write(path, text).is_ok()
    }
}

/// Where it is kept: `target/course/04-park.txt`.
fn path(checkout: &Checkout, chapter: &Chapter) -> PathBuf {
    checkout.target.join("course").join(chapter.slug()).with_extension("txt")
}

/// A number that two texts hardly ever share: 64-bit FNV-1a, which is the same in every release.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
