//! What is wrong, all of it, in one report.

use std::collections::BTreeSet;
use std::fmt::Display;

/// Everything that is wrong, for one report.
#[derive(Default)]
pub(crate) struct Problems(BTreeSet<String>);

impl Problems {
    pub(crate) fn add(&mut self, place: impl Display, what: impl Display) {
        self.0.insert(format!("{place}: {what}"));
    }

    pub(crate) fn need(&mut self, holds: bool, place: impl Display, what: impl Display) {
        if !holds {
            self.add(place, what);
        }
    }

    /// Two sets that should be the same.
    pub(crate) fn same(
        &mut self,
        a: &str,
        left: &BTreeSet<String>,
        b: &str,
        right: &BTreeSet<String>,
    ) {
        for only in left.difference(right) {
            self.add(a, format!("{only} is not among the {b}"));
        }
        for only in right.difference(left) {
            self.add(b, format!("{only} is not among the {a}"));
        }
    }

    /// Whether this run is about `text`: about all, or about the one chapter asked for.
    pub(crate) fn concern(&self, text: &str) -> bool {
        let Ok(chapter) = std::env::var("CHAPTER") else { return true };
        text.contains(&chapter) || text.contains(&chapter.replace('-', "_"))
    }

    #[track_caller]
    pub(crate) fn report(self) {
        let problems = self.0.iter().filter(|problem| self.concern(problem));
        let problems = problems.map(String::as_str).collect::<Vec<_>>();
        assert!(problems.is_empty(), "{} problems\n\n{}\n", problems.len(), problems.join("\n"));
    }
}
