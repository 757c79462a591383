//! The chapters, as `chapters/SUMMARY.md` lists them.

use std::fmt::Write;

use similar::get_close_matches;

use crate::checkout::Checkout;
use crate::failure::{Failure, Result};
use crate::starter::{self, Hole};

/// The book's table of contents.
const SUMMARY: &str = "chapters/SUMMARY.md";

/// A chapter of the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chapter {
    /// Its number.
    pub(crate) number: u32,
    /// Its short name: `park`.
    pub(crate) name: String,
    /// Whether it is in the book already.
    pub(crate) written: bool,
}

impl Chapter {
    /// All chapters, in order.
    pub(crate) fn all(checkout: &Checkout) -> Result<Vec<Self>> {
        let summary = checkout.read(SUMMARY)?;
        let chapters = summary.lines().filter_map(Chapter::parse).collect::<Vec<_>>();
        if chapters.is_empty() {
            return Err(Failure::unusable(format!(
                "{SUMMARY} lists no chapter: `git restore {SUMMARY}` puts it back."
            )));
        }
        Ok(chapters)
    }

    /// The chapter of a line as `- [4 · park](04-park/README.md)`, or `- [5 · handoff]()` if it is
    /// still to come.
    fn parse(line: &str) -> Option<Self> {
        let (text, link) = line.trim().strip_prefix("- [")?.split_once("](")?;
        let (number, name) = text.split_once(" · ")?;
        let number = number.trim().parse().ok()?;
        let folder = link.split(['/', ')']).next().unwrap_or_default();
        let name = match folder.split_once('-') {
            Some((_, name)) => name,
            None => name.trim(),
        };
        Some(Chapter { number, name: name.to_owned(), written: !folder.is_empty() })
    }

    /// Its folder in `chapters/`: `04-park`.
    pub(crate) fn slug(&self) -> String {
        format!("{:02}-{}", self.number, self.name)
    }

    /// The name of the reader's test: `my_04_park`.
    pub(crate) fn test(&self) -> String {
        format!("my_{}", self.slug().replace('-', "_"))
    }

    /// The reader's file: `tests/my_04_park.rs`.
    pub(crate) fn file(&self) -> String {
        format!("tests/{}.rs", self.test())
    }

    /// The layer that is the reference: `src/ch04_park.rs`.
    pub(crate) fn layer(&self) -> String {
        format!("src/ch{}.rs", self.slug().replace('-', "_"))
    }

    /// A file of its folder: `chapters/04-park/README.md`.
    pub(crate) fn part(&self, file: &str) -> String {
        format!("chapters/{}/{file}", self.slug())
    }

    /// The file a reader starts from, as it is made from the reference; see [`starter::starter`].
    pub(crate) fn starter(
        &self,
        checkout: &Checkout,
        open: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let (layer, extend) = self.reference(checkout)?;
        Ok(starter::starter(&layer, &extend, open))
    }

    /// Its holes, in order.
    pub(crate) fn holes(&self, checkout: &Checkout) -> Result<Vec<Hole>> {
        let (layer, extend) = self.reference(checkout)?;
        Ok([starter::holes(&layer), starter::holes(&extend)].concat())
    }

    /// The reference: the layer, and what the chapter asks beyond it.
    fn reference(&self, checkout: &Checkout) -> Result<(String, String)> {
        let extend = checkout.read_if_there(&self.part("extend.rs"))?;
        let extend = extend.ok_or_else(|| {
            Failure::unusable(format!(
                "Chapter {} ({}) has no exercises yet.",
                self.number, self.name
            ))
        })?;
        Ok((starter::whole(&self.layer(), |path| checkout.read(path))?, extend))
    }
}

/// The chapter that a reader calls `name`: `4`, `04`, `park`, `04-park`, or a file of it.
pub(crate) fn named<'a>(chapters: &'a [Chapter], name: &str) -> Result<&'a Chapter> {
    let found = chapters.iter().find(|chapter| called(chapter, name));
    let written = written(chapters);
    match found {
        Some(chapter) if chapter.written => Ok(chapter),
        Some(Chapter { number, name, .. }) => Err(Failure::unusable(format!(
            "Chapter {number} ({name}) is not written yet; written so far: {written}."
        ))),
        None => Err(Failure::unusable(unknown(chapters, name, &written))),
    }
}

/// Whether `name` is a name of this chapter.
fn called(chapter: &Chapter, name: &str) -> bool {
    if let Ok(number) = name.parse::<u32>() {
        return number == chapter.number;
    }
    // `tests/my_04_park.rs`, `src/ch04_park.rs` and `chapters/04-park/` are what shells complete.
    let name = name.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.trim_end_matches(".rs").to_lowercase().replace('_', "-");
    let name = name.strip_prefix("my-").or_else(|| name.strip_prefix("ch")).unwrap_or(&name);
    name == chapter.name || name == chapter.slug()
}

/// Says that there is no such chapter, and which are near.
fn unknown(chapters: &[Chapter], name: &str, written: &str) -> String {
    let mut text = format!("There is no chapter {name}; written so far: {written}");
    let names = chapters.iter().map(|chapter| chapter.name.as_str()).collect::<Vec<_>>();
    let written = chapters.iter().filter(|chapter| chapter.written);
    let written = written.map(|chapter| chapter.name.as_str()).collect::<Vec<_>>();
    match get_close_matches(name, &names, 1, 0.6)[..] {
        _ if name.parse::<u32>().is_ok() => text.push('.'),
        [near] => drop(write!(text, ". Did you mean {near}?")),
        _ => drop(write!(text, " ({}).", written.join(", "))),
    }
    text
}

/// The numbers of the written chapters: `1–4, 6`.
fn written(chapters: &[Chapter]) -> String {
    let mut runs = Vec::<(u32, u32)>::new();
    for chapter in chapters.iter().filter(|chapter| chapter.written) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == chapter.number => *last = chapter.number,
            _ => runs.push((chapter.number, chapter.number)),
        }
    }
    let run = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}–{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}
