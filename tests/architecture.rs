//! The rules of the house, enforced: layers build on lower layers only, say what they promise, and
//! keep the code that one reads clean.

#![cfg(not(miri))] // Reads the source tree; nothing here is unsafe.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use problems::Problems;
use tree::{chapters, files, read};

#[path = "book/problems.rs"]
mod problems;
#[path = "book/tree.rs"]
#[allow(dead_code)]
mod tree;

/// What the library depends on, and nothing else.
const DEPENDENCIES: &[&str] = &["futures", "libc", "pin-project-lite"];

/// The layers whose subject is unsafe.
const UNSAFE: &[&str] = &["ch03_waker", "ch06_io_models", "ch07_select", "ch08_poll", "ch12_join"];

/// What every layer may use.
const GROUND: &[&str] = &["budget", "ledger", "sys"];

/// How many lines a layer has: more is usually two layers.
const LENGTH: RangeInclusive<usize> = 30..=350;

/// The files that may be longer, and how long: a task and its handle are one subject; what tasks share
/// stands on one list, and a channel has two sides, with the names and the errors that people know.
const LONG: &[(&str, usize)] = &[("ch11_task", 470), ("ch14_sync", 470), ("ch14_sync/mpsc", 380)];

/// How many lines the doc of a layer has at most.
const DOC: usize = 20;

/// How many lines above an `Acquire` or a `Release` its partner is named at the latest.
const NEARBY: usize = 8;

#[test]
fn layers_build_downwards_only() {
    let mut problems = Problems::default();
    for layer in parts() {
        for (place, code) in layer.code() {
            problems.need(
                !has_word(&code, "super"),
                &place,
                "uses `super`: write the layer's name",
            );
            problems.need(!has_word(&code, "under_await"), &place, "uses the façade");
            for target in code.split("crate::").skip(1) {
                let end = target.find(|c: char| !c.is_alphanumeric() && c != '_');
                let target = &target[..end.unwrap_or(target.len())];
                let ground = GROUND.contains(&target);
                // A macro names its own layer as well, and other macros, which stand at the crate's root.
                let below = target.starts_with("ch") && target <= layer.name.as_str();
                let is_macro = target.starts_with("__") || target.is_empty();
                let why = format!("uses `crate::{target}`, which is no layer below");
                problems.need(ground || below || is_macro, &place, why);
            }
        }
    }
    problems.report();
}

#[test]
fn the_ground_rests_on_no_layer() {
    let mut problems = Problems::default();
    for file in sources().iter().filter(|file| GROUND.contains(&file.name.as_str())) {
        for (place, code) in file.code() {
            problems.need(!code.contains("crate::ch"), &place, "uses a layer");
        }
    }
    problems.report();
}

/// Four bold words, in this order: what the layer below cannot do, the idea, what holds from now
/// on, and what is still wrong.
#[test]
fn every_layer_says_what_it_promises() {
    let mut problems = Problems::default();
    for layer in layers() {
        let doc = layer.source.lines().map_while(|line| line.strip_prefix("//!"));
        let doc = doc.map(str::trim).collect::<Vec<_>>();
        let title = format!("# Layer {} · ", layer.number());
        let first = doc.first().copied().unwrap_or_default();
        problems.need(
            first.starts_with(&title),
            &layer.path,
            format!("does not begin `//! {title}`"),
        );
        let lines = doc.len();
        problems.need(
            lines <= DOC,
            &layer.path,
            format!("its doc has {lines} lines, not {DOC} at most"),
        );

        let words = ["**Before.**", "**Idea.**", "**Invariants.**", "**Still wrong.**"];
        let at = words.map(|word| doc.iter().position(|line| line.starts_with(word)));
        let in_order = at.is_sorted() && at.iter().all(Option::is_some);
        problems.need(in_order, &layer.path, format!("its doc does not go {}", words.join(" ")));
        if let [_, _, Some(from), Some(to)] = at
            && in_order
        {
            let items = doc[from..to].iter().filter_map(|line| line.split_once(". "));
            let numbers = items.filter_map(|(number, _)| number.parse().ok());
            let numbers = numbers.collect::<Vec<usize>>();
            let right = !numbers.is_empty() && numbers.iter().copied().eq(1..=numbers.len());
            problems.need(right, &layer.path, "its invariants are not numbered 1, 2, 3 …");
        }
    }
    problems.report();
}

/// `unsafe` is where it is the subject, and nowhere else.
#[test]
fn unsafe_is_where_it_is_the_subject() {
    let mut problems = Problems::default();
    for layer in layers() {
        let forbids = layer.source.contains("\n#![forbid(unsafe_code)]\n");
        let uses = layer.code().iter().any(|(_, code)| has_word(code, "unsafe"));
        if UNSAFE.contains(&layer.name.as_str()) {
            problems.need(uses, &layer.path, "is listed in UNSAFE, and has nothing unsafe");
        } else {
            problems.need(forbids, &layer.path, "does not say `#![forbid(unsafe_code)]`");
        }
    }
    problems.report();
}

/// Whoever reads an `Acquire` knows whose `Release` it waits for: a comment above says `Pairs with`,
/// or the partner's comment names the function it stands in.
#[test]
fn every_ordering_names_its_partner() {
    let mut problems = Problems::default();
    for file in sources() {
        let lines = file.source.lines().collect::<Vec<_>>();
        let mut function = "";
        for (number, line) in lines.iter().enumerate() {
            let code = code(line);
            if let Some((_, rest)) = code.split_once("fn ") {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                function = &rest[..end.unwrap_or(rest.len())];
            }
            for order in ["Acquire", "Release", "AcqRel"] {
                if !has_word(code, order) || code.trim_start().starts_with("use ") {
                    continue;
                }
                let above = &lines[number.saturating_sub(NEARBY)..number];
                let above = above.iter().any(|line| line.contains("// Pairs with "));
                let elsewhere = format!("Pairs with the `{order}` in `{function}`");
                let named = above || file.source.contains(&elsewhere);
                let place = format!("{}:{}", file.path, number + 1);
                let why = format!("nothing says what this `{order}` pairs with");
                problems.need(named, place, why);
            }
        }
    }
    problems.report();
}

/// The pages that one reads have no tests, no loose ends and no half-handled errors: `unwrap` is for
/// locks, where a panic has been reported already.
#[test]
fn the_source_is_clean() {
    let mut problems = Problems::default();
    let never =
        ["cfg(test)", "cfg(feature", "todo!", "unimplemented!", "dbg!", "println!", "print!"];
    for file in sources() {
        let mut before = String::new();
        for (place, code) in file.code() {
            for word in never {
                problems.need(!code.contains(word), &place, format!("has `{word}`"));
            }
            for (at, _) in code.match_indices(".unwrap()") {
                let whole = before.clone() + code[..at].trim();
                let of_a_lock =
                    [".lock()", ".read()", ".write()"].iter().any(|lock| whole.ends_with(lock));
                problems.need(of_a_lock, &place, "`unwrap`s what is not a lock");
            }
            before = code.trim().to_owned();
        }
    }
    problems.report();
}

/// Whoever reads a field knows what it is for: the line above it says so.
#[test]
fn every_field_is_explained() {
    let mut problems = Problems::default();
    for file in sources() {
        for (place, explained) in file.fields() {
            problems.need(explained, place, "has a field, and no line above that explains it");
        }
    }
    problems.report();
}

#[test]
fn no_layer_is_too_long() {
    let mut problems = Problems::default();
    for layer in parts() {
        let lines = layer.source.lines().count();
        let long = LONG.iter().find(|(name, _)| *name == layer.name).map(|(_, most)| *most);
        let most = long.unwrap_or(*LENGTH.end());
        let why = format!("has {lines} lines, not {} to {most}", LENGTH.start());
        problems.need((*LENGTH.start()..=most).contains(&lines), &layer.path, why);
    }
    problems.report();
}

/// Layers, modules, chapters and examples: each layer has one of each, in order.
#[test]
fn every_layer_is_declared_everywhere() {
    let mut problems = Problems::default();
    let library = read("src/lib.rs");
    let names = layers().into_iter().map(|layer| layer.name).collect::<Vec<_>>();
    let modules = library.lines().filter_map(|line| line.strip_prefix("pub mod ch"));
    let modules = modules.map(|name| format!("ch{}", name.trim_end_matches(';')));
    let modules = modules.collect::<Vec<_>>();
    problems.need(modules == names, "src/lib.rs", format!("declares {modules:?}, not {names:?}"));
    for name in &names {
        let row = format!("//! | [`{name}`] | ");
        problems.need(library.contains(&row), "src/lib.rs", format!("its tour has no row `{row}`"));
    }

    let folders = chapters().into_iter().map(|chapter| chapter.folder).collect::<Vec<_>>();
    let of_chapters = folders.iter().map(|folder| format!("ch{}", folder.replace('-', "_")));
    let of_chapters = of_chapters.collect::<Vec<_>>();
    problems.need(of_chapters == names, "chapters", format!("are {of_chapters:?}, not {names:?}"));

    let manifest = read("Cargo.toml");
    let examples = manifest.split("[[example]]\n").skip(1);
    let examples = examples.map(|example| example.lines().take(2).collect::<Vec<_>>().join("\n"));
    let wanted = folders
        .iter()
        .map(|folder| format!("name = \"{folder}\"\npath = \"chapters/{folder}/example.rs\""));
    let (examples, wanted) = (examples.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    problems.need(examples == wanted, "Cargo.toml", format!("{examples:#?}, not {wanted:#?}"));
    problems.report();
}

/// The façade is a list: what it offers is made in the layers.
#[test]
fn the_facade_has_no_code() {
    let mut problems = Problems::default();
    let library = sources().into_iter().find(|file| file.name == "lib").expect("src/lib.rs");
    for (place, code) in library.code() {
        let known = ["pub mod ", "pub use ", "mod ch", "mod chapters {", "}", "#[doc", "#[cfg("];
        let is_list =
            code.trim().is_empty() || known.iter().any(|start| code.trim().starts_with(start));
        problems.need(is_list, place, format!("`{}` is neither a module nor a name", code.trim()));
    }
    problems.report();
}

#[test]
fn the_library_depends_on_three_crates() {
    let mut problems = Problems::default();
    let manifest = read("Cargo.toml");
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
            let other = section.contains("dependencies");
            let known = ["[dependencies]", "[dev-dependencies]"].contains(&section);
            problems.need(known || !other, "Cargo.toml", format!("has {section}"));
        } else if let Some((name, _)) = line.split_once('=') {
            let name = name.trim().split('.').next().unwrap_or_default().to_owned();
            match section {
                "[dependencies]" => drop(found.insert(name)),
                "[dev-dependencies]" => {
                    let why = format!("{name} is for the tests only: use what the library has");
                    problems.need(DEPENDENCIES.contains(&name.as_str()), "Cargo.toml", why);
                }
                _ => {}
            }
        }
    }
    let wanted = DEPENDENCIES.iter().map(|name| name.to_string()).collect();
    problems.same("dependencies in Cargo.toml", &found, "dependencies allowed", &wanted);
    problems.report();
}

/// A file in `src`.
struct Source {
    /// `src/ch04_park.rs`
    path: String,
    /// `ch04_park`
    name: String,
    source: String,
}

impl Source {
    /// `4` of `ch04_park`
    fn number(&self) -> usize {
        let number = self.name["ch".len()..].split('_').next();
        number.and_then(|number| number.parse().ok()).expect("a layer has a number")
    }

    /// Every line, without its comment, and where it stands.
    fn code(&self) -> Vec<(String, String)> {
        let lines = (1..).zip(self.source.lines());
        lines
            .map(|(number, line)| (format!("{}:{number}", self.path), code(line).to_owned()))
            .collect()
    }

    /// Where each named field stands, and whether the line above explains it: a `///`, or in
    /// `pin_project!`, whose fields take no docs, a `//`. Attributes may come between. Only there may
    /// a variant have its fields on its own line, which is explained as one.
    fn fields(&self) -> Vec<(String, bool)> {
        let (mut found, mut open, mut head, mut above) = (vec![], vec![], String::new(), "");
        for ((place, code), line) in self.code().into_iter().zip(self.source.lines()) {
            let (code, pinned) = (code.trim(), open.contains(&Body::Pinned));
            if open.last() == Some(&Body::Fields) && is_field(code) {
                let comment = if pinned { "// " } else { "/// " };
                let explained = above.starts_with(comment) && !above.starts_with("// ANCHOR");
                found.push((place.clone(), explained));
            }
            if !(code.starts_with("#[") && code.ends_with(']')) {
                above = line.trim();
            }
            for (at, char) in code.char_indices() {
                match char {
                    '{' => {
                        open.push(Body::of(&head, open.last()));
                        let fields = open.last() == Some(&Body::Fields);
                        if fields && !pinned && code[at..].contains(':') {
                            found.push((place.clone(), false));
                        }
                    }
                    '}' => drop(open.pop().expect("what is closed was opened")),
                    _ => {}
                }
                match char {
                    '{' | '}' | ';' => head.clear(),
                    _ => head.push(char),
                }
            }
            head.push(' ');
        }
        assert!(open.is_empty(), "{}: {} braces are not closed", self.path, open.len());
        found
    }
}

/// What stands between two braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// The fields of a struct, or of a variant.
    Fields,
    /// The variants of an enum.
    Variants,
    /// What `pin_project!` is given.
    Pinned,
    /// Anything else.
    Other,
}

impl Body {
    /// What is opened after `head`, inside `outer`.
    fn of(head: &str, outer: Option<&Body>) -> Body {
        match outer {
            _ if head.contains("pin_project!") => Body::Pinned,
            _ if has_word(head, "struct") => Body::Fields,
            _ if has_word(head, "enum") => Body::Variants,
            Some(Body::Variants) => Body::Fields,
            _ => Body::Other,
        }
    }
}

/// Whether a field begins on this line: `pub at: Duration,` or `#[pin] future: F,`.
fn is_field(code: &str) -> bool {
    let name = code.split(": ").next().unwrap_or_default();
    let name = name.rsplit(' ').next().unwrap_or_default();
    name.len() < code.len()
        && !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Every file in `src`.
fn sources() -> Vec<Source> {
    let sources = files("src", "rs").into_iter().map(|path| {
        let name = path.trim_start_matches("src/").trim_end_matches(".rs").to_owned();
        Source { source: read(&path), path, name }
    });
    sources.collect()
}

/// Every file of every layer: one may have a second one in a folder of its name.
fn parts() -> Vec<Source> {
    sources().into_iter().filter(|file| file.name.starts_with("ch")).collect()
}

/// Every layer, lowest first: the file that it begins with.
fn layers() -> Vec<Source> {
    parts().into_iter().filter(|file| !file.name.contains('/')).collect()
}

/// A line without its comment. Prose may point upwards; code may not.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether `word` stands in `code`, and not as a part of another.
fn has_word(code: &str, word: &str) -> bool {
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|found| found == word)
}
