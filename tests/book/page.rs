//! Markdown, read the way mdBook reads it.

use std::collections::{BTreeMap, BTreeSet};

use super::picture::values;
use super::tree::{Chapter, files, read_if_there};

/// Every page under `chapters`.
pub(crate) fn pages() -> Vec<Page> {
    files("chapters", "md").iter().map(|path| Page::read(path)).collect()
}

/// A file of Markdown.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A line of a page.
pub(crate) struct Line<'a> {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) text: &'a str,
    /// The language and flags of the code block it belongs to, fences included.
    pub(crate) code: Option<&'a str>,
}

pub(crate) struct Heading {
    pub(crate) level: usize,
    /// Without marks of emphasis and of code.
    pub(crate) text: String,
    /// What a link to it says after the `#`.
    pub(crate) id: String,
}

/// A block of code.
pub(crate) struct Block {
    /// Where it begins.
    pub(crate) line: usize,
    pub(crate) info: String,
    pub(crate) text: String,
}

/// A quotation of another file.
pub(crate) struct Include {
    pub(crate) line: usize,
    pub(crate) path: String,
    pub(crate) anchor: Option<String>,
}

/// A link to another file, or within one.
pub(crate) struct Link {
    pub(crate) line: usize,
    /// From the root of the repository.
    pub(crate) target: String,
    pub(crate) fragment: Option<String>,
}

impl Page {
    pub(crate) fn new(path: &str, text: String) -> Self {
        Page { path: path.to_owned(), text }
    }

    pub(crate) fn read(path: &str) -> Self {
        Page::new(path, read_if_there(path).unwrap_or_default())
    }

    pub(crate) fn of(chapter: &Chapter) -> Self {
        Page::read(&chapter.file("README.md"))
    }

    /// A place on the page.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    pub(crate) fn lines(&self) -> Vec<Line<'_>> {
        let mut fence: Option<(&str, &str)> = None;
        let mut lines = Vec::new();
        for (number, text) in (1..).zip(self.text.lines()) {
            let trimmed = text.trim_start();
            let marks = &trimmed[..trimmed.len() - trimmed.trim_start_matches('`').len()];
            let code = match fence {
                None if marks.len() >= 3 => {
                    fence = Some((marks, trimmed[marks.len()..].trim()));
                    fence.map(|(_, info)| info)
                }
                Some((open, info)) => {
                    if marks.len() >= open.len() && trimmed.trim_end() == marks {
                        fence = None;
                    }
                    Some(info)
                }
                None => None,
            };
            lines.push(Line { number, text, code });
        }
        lines
    }

    /// The lines that are not code, with what is code within them blanked out.
    pub(crate) fn prose(&self) -> Vec<(usize, String)> {
        let lines = self.lines().into_iter().filter(|line| line.code.is_none());
        let blank = |text: &str| {
            let mut in_code = false;
            let keep = |c: char| {
                in_code ^= c == '`';
                if in_code || c == '`' { ' ' } else { c }
            };
            text.chars().map(keep).collect()
        };
        lines.map(|line| (line.number, blank(line.text))).collect()
    }

    pub(crate) fn headings(&self) -> Vec<Heading> {
        let mut used = BTreeMap::<String, usize>::new();
        let mut headings = Vec::new();
        for line in self.lines().iter().filter(|line| line.code.is_none()) {
            let level = line.text.len() - line.text.trim_start_matches('#').len();
            let Some(text) = line.text[level..].strip_prefix(' ').filter(|_| level > 0) else {
                continue;
            };
            let (text, given) = match text.split_once("{#") {
                Some((text, rest)) => (text, rest.split(['}', ' ']).next()),
                None => (text, None),
            };
            let text = plain(text);
            let mut id = given.map_or_else(|| id_of(&text), str::to_owned);
            let again = used.entry(id.clone()).or_default();
            if *again > 0 {
                id += &format!("-{again}");
            }
            *again += 1;
            headings.push(Heading { level, text, id });
        }
        headings
    }

    /// What stands under a heading of the second level.
    pub(crate) fn section(&self, wanted: &str) -> String {
        let mut text = String::new();
        let mut inside = false;
        for line in self.lines() {
            let heading = line.text.strip_prefix("## ").filter(|_| line.code.is_none());
            inside = heading.map_or(inside, |heading| plain(heading) == wanted);
            if inside && heading.is_none() {
                text += line.text;
                text.push('\n');
            }
        }
        text
    }

    /// The quoted lines after the title, as they are rendered.
    pub(crate) fn head(&self) -> Vec<String> {
        let lines = self.text.lines().skip_while(|line| !line.starts_with('>'));
        let lines = lines.take_while(|line| line.starts_with('>')).map(|line| &line[1..]);
        let (mut head, mut joined) = (Vec::<String>::new(), false);
        for line in lines {
            match head.last_mut().filter(|_| joined && !line.trim().is_empty()) {
                Some(last) => *last += line,
                None if line.trim().is_empty() => {}
                None => head.push(line.trim().to_owned()),
            }
            joined = !line.trim().is_empty() && !line.ends_with("  ") && !line.ends_with('\\');
        }
        head
    }

    /// The words one reads: no code, no tables, nothing folded.
    pub(crate) fn words(&self) -> usize {
        let mut folded = 0;
        let mut words = 0;
        for line in self.lines().iter().filter(|line| line.code.is_none()) {
            let text = line.text.trim_start();
            folded += text.matches("<details").count();
            if folded == 0 && !text.starts_with(['|', '<']) && !text.starts_with("{{#") {
                let tokens = text.split_whitespace();
                words += tokens.filter(|word| word.contains(char::is_alphanumeric)).count();
            }
            folded -= text.matches("</details>").count().min(folded);
        }
        words
    }

    /// The cells of every row of every table, heads and rulers included.
    pub(crate) fn tables(&self) -> Vec<Vec<String>> {
        let lines = self.lines().into_iter().filter(|line| line.code.is_none());
        let rows = lines.filter_map(|line| line.text.trim().strip_prefix('|'));
        let cells = |row: &str| {
            let row = row.strip_suffix('|').unwrap_or(row);
            row.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        rows.map(cells).collect()
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::<Block>::new();
        let mut inside = false;
        for line in self.lines() {
            let is_fence = line.text.trim_start().starts_with("```");
            match line.code {
                Some(info) if !inside => {
                    let (line, info) = (line.number, info.to_owned());
                    blocks.push(Block { line, info, text: String::new() });
                    inside = true;
                }
                Some(_) if is_fence => inside = false,
                Some(_) => {
                    let block = blocks.last_mut().expect("its fence came before");
                    block.text += line.text.trim_start();
                    block.text.push('\n');
                }
                None => inside = false,
            }
        }
        blocks
    }

    pub(crate) fn includes(&self) -> Vec<Include> {
        let mut includes = Vec::new();
        for (line, text) in (1..).zip(self.text.lines()) {
            for part in text.split("{{#include ").skip(1) {
                let what = part.split("}}").next().unwrap_or_default().trim();
                let (path, anchor) = match what.split_once(':') {
                    Some((path, anchor)) => (path, Some(anchor.to_owned())),
                    None => (what, None),
                };
                includes.push(Include { line, path: self.resolve(path), anchor });
            }
        }
        includes
    }

    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (line, text) in self.prose() {
            let inline = text.split("](").skip(1).map(|rest| rest.split([')', ' ']).next());
            let html = ["href=\"", "src=\""];
            let html = html.iter().flat_map(|attribute| text.split(attribute).skip(1));
            let html = html.map(|rest| rest.split('"').next());
            let defined = text.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
            let defined = defined.map(|(_, rest)| rest.split_whitespace().next());
            for target in inline.chain(html).chain(defined).flatten() {
                let outside = ["http://", "https://", "mailto:"];
                if outside.iter().any(|scheme| target.starts_with(scheme)) || target.is_empty() {
                    continue;
                }
                let (path, fragment) = match target.split_once('#') {
                    Some((path, fragment)) => (path, Some(fragment.to_owned())),
                    None => (target, None),
                };
                let target = if path.is_empty() { self.path.clone() } else { self.resolve(path) };
                links.push(Link { line, target, fragment });
            }
        }
        links
    }

    /// Everything on the page that a `#` can lead to.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        let headings = self.headings().into_iter().map(|heading| heading.id);
        let prose = self.prose();
        let given = prose.iter().flat_map(|(_, text)| values(text, "id"));
        headings.chain(given.map(str::to_owned)).collect()
    }

    /// A path on this page, seen from the root.
    pub(crate) fn resolve(&self, path: &str) -> String {
        let mut parts = self.path.split('/').collect::<Vec<_>>();
        parts.pop();
        for part in path.split('/') {
            match part {
                ".." => drop(parts.pop()),
                "." | "" => {}
                part => parts.push(part),
            }
        }
        parts.join("/")
    }
}

/// The text of a heading: no marks, and of a link only what is shown.
pub(crate) fn plain(heading: &str) -> String {
    let mut text = heading.trim().replace(['`', '*'], "");
    while let Some((before, rest)) = text.split_once('[')
        && let Some((shown, rest)) = rest.split_once("](")
        && let Some((_, after)) = rest.split_once(')')
    {
        text = format!("{before}{shown}{after}");
    }
    text
}

/// The id that mdBook gives to a heading.
pub(crate) fn id_of(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let id = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    id.collect()
}

/// The items of a numbered list, each on one line.
pub(crate) fn numbered(text: &str) -> Vec<String> {
    let mut items = Vec::<String>::new();
    let mut inside = false;
    for line in text.lines() {
        let number = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if number > 0 && line[number..].starts_with(". ") {
            items.push(line.to_owned());
            inside = true;
        } else if inside && (line.starts_with(' ') || line.is_empty()) {
            *items.last_mut().expect("inside one") += line;
        } else {
            inside = false;
        }
    }
    items
}

/// `text` on one line, as Markdown reads a paragraph.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands between two marks: nothing if the first is missing, everything up to the end if only
/// the second one is.
pub(crate) fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let after = text.split_once(from).map_or("", |(_, after)| after);
    after.split(to).next().unwrap_or_default()
}

/// What stands between backticks.
pub(crate) fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
