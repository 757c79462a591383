//! The files of the repository, and what the tests look for in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A layer of the ladder, as the contents have it.
pub(crate) struct Rung {
    /// As it is shown: `4 · park`.
    pub(crate) text: String,
    /// Where its chapter is, or nothing.
    pub(crate) link: String,
}

impl Rung {
    /// `04-park`
    pub(crate) fn folder(&self) -> String {
        let (number, slug) = self.text.split_once(" · ").expect("a rung has a number");
        format!("{number:0>2}-{slug}")
    }

    /// `src/ch04_park.rs`
    pub(crate) fn layer(&self) -> String {
        format!("src/ch{}.rs", self.folder().replace('-', "_"))
    }
}

/// The layers that the contents list, those to come included.
pub(crate) fn ladder() -> Vec<Rung> {
    let contents = read("chapters/SUMMARY.md");
    let rungs = contents.lines().filter_map(|line| {
        let (text, link) = line.trim_start().strip_prefix("- [")?.split_once("](")?;
        let link = link.strip_suffix(')')?.to_owned();
        text.contains(" · ").then(|| Rung { text: text.to_owned(), link })
    });
    rungs.collect()
}

/// A chapter on disk.
pub(crate) struct Chapter {
    /// 4
    pub(crate) number: usize,
    /// `04-park`
    pub(crate) folder: String,
}

impl Chapter {
    pub(crate) fn file(&self, name: &str) -> String {
        format!("chapters/{}/{name}", self.folder)
    }

    /// `src/ch04_park.rs`
    pub(crate) fn layer(&self) -> String {
        format!("src/ch{}.rs", self.suite())
    }

    /// The files of its layer: that one, and others in a folder of its name.
    pub(crate) fn sources(&self) -> Vec<String> {
        let folder = format!("src/ch{}/", self.suite());
        let is_one = |path: &String| *path == self.layer() || path.starts_with(&folder);
        files("src", "rs").into_iter().filter(is_one).collect()
    }

    /// `04_park`
    pub(crate) fn suite(&self) -> String {
        self.folder.replace('-', "_")
    }
}

/// The chapters on disk, in order.
pub(crate) fn chapters() -> Vec<Chapter> {
    let pages = files("chapters", "md").into_iter();
    let folders = pages.filter_map(|path| {
        let folder = path.strip_prefix("chapters/")?.strip_suffix("/README.md")?;
        let number = folder.split('-').next()?.parse().ok()?;
        Some(Chapter { number, folder: folder.to_owned() })
    });
    folders.collect()
}

/// The classic mistakes of all chapters: the name of each, and the tag it is told.
pub(crate) fn mistakes() -> Vec<(String, String)> {
    let paths = files("chapters", "rs").into_iter().filter(|path| path.contains("/mistakes/"));
    let mistakes = paths.map(|path| {
        let source = read(&path);
        let tag = source.strip_prefix("// [").and_then(|rest| rest.split(']').next());
        let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
        (name.unwrap_or_default().to_owned(), tag.unwrap_or_default().to_owned())
    });
    mistakes.collect()
}

/// The names of the checks in a suite.
pub(crate) fn checks(suite: &str) -> BTreeSet<String> {
    let source = read_if_there(&format!("tests/suites/{suite}.rs")).unwrap_or_default();
    let names = source.lines().filter_map(|line| {
        let (_, rest) = line.trim_start().strip_prefix('"')?.split_once("\" fn ")?;
        Some(rest.split('(').next()?.to_owned())
    });
    names.collect()
}

/// A part of a file that can be quoted.
pub(crate) struct Anchor {
    pub(crate) name: String,
    /// How far from the left its mark stands.
    pub(crate) indent: usize,
    /// How many lines of it are shown.
    pub(crate) lines: usize,
    pub(crate) text: String,
    /// Where it ends, if it does.
    pub(crate) end: Option<usize>,
}

/// The anchors of a file, as mdBook finds them.
pub(crate) fn anchors(source: &str) -> Vec<Anchor> {
    let mut anchors = Vec::<Anchor>::new();
    for (number, line) in source.lines().enumerate() {
        let name = |mark: &str| {
            let name = line.split_once(mark)?.1.trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
            Some(name[..end.unwrap_or(name.len())].to_owned())
        };
        if let Some(name) = name("ANCHOR_END:") {
            let open = |anchor: &&mut Anchor| anchor.name == name && anchor.end.is_none();
            if let Some(anchor) = anchors.iter_mut().rev().find(open) {
                anchor.end = Some(number);
            }
        } else if let Some(name) = name("ANCHOR:") {
            let indent = line.len() - line.trim_start().len();
            anchors.push(Anchor { name, indent, lines: 0, text: String::new(), end: None });
        } else {
            for anchor in anchors.iter_mut().filter(|anchor| anchor.end.is_none()) {
                anchor.lines += 1;
                anchor.text += line;
                anchor.text.push('\n');
            }
        }
    }
    anchors
}

pub(crate) fn absolute(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn exists(path: &str) -> bool {
    absolute(path).exists()
}

pub(crate) fn read(path: &str) -> String {
    read_if_there(path).unwrap_or_else(|| panic!("there is no {path}"))
}

pub(crate) fn read_if_there(path: &str) -> Option<String> {
    fs::read_to_string(absolute(path)).ok()
}

/// The files below `folder` whose names end in `.extension`, or all of them if that is empty.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(absolute(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("names are UTF-8"));
        if entry.path().is_dir() {
            found.extend(files(&path, extension));
        } else if extension.is_empty() || path.ends_with(&format!(".{extension}")) {
            found.push(path);
        }
    }
    found.sort();
    found
}
