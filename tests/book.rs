//! The book, proved: what it quotes exists, what it links to is there, what it shows is what the
//! examples do, and every chapter has the same shape.
//!
//! Each test reports everything it finds. While you write one chapter, `CHAPTER=04-park` hides what
//! is said about the others. `BLESS=1 cargo test --test book` writes `output.txt` and `trace.md`.

#![cfg(not(miri))] // Reads the source tree and starts processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use under_await::ledger::{Entry, Event, Ledger};

#[allow(unused)]
mod support;

#[path = "../course/src/starter.rs"]
#[allow(dead_code)]
mod starter;

#[path = "../chapters/01-future/example.rs"]
#[allow(dead_code)]
mod example_01;
#[path = "../chapters/02-block-on/example.rs"]
#[allow(dead_code)]
mod example_02;
#[path = "../chapters/03-waker/example.rs"]
#[allow(dead_code)]
mod example_03;
#[path = "../chapters/04-park/example.rs"]
#[allow(dead_code)]
mod example_04;

/// The part of an example whose trace its chapter shows: the example's own `scene`, or the one
/// below where it has none.
macro_rules! scene_of {
    ($example:ident) => {
        || {
            #[allow(unused_imports)]
            use $example::*;
            scene();
        }
    };
}

fn scene() {
    panic!("the example has no `pub(crate) fn scene()`");
}

const SCENES: &[(&str, fn())] = &[
    ("01-future", scene_of!(example_01)),
    ("02-block-on", scene_of!(example_02)),
    ("03-waker", scene_of!(example_03)),
    ("04-park", scene_of!(example_04)),
];

/// The headings of a chapter, in this order.
const ANATOMY: &[&str] = &[
    "Run it first",
    "The problem",
    "Predict",
    "The idea",
    "The contract",
    "Your turn",
    "Walk through",
    "Break it",
    "What the real ones do",
    "Check yourself",
    "Before and after",
];

/// How many words of open prose a chapter has: what one reads in a quarter of an hour.
const WORDS: std::ops::RangeInclusive<usize> = 1200..=2300;

/// How many lines of code a reader takes in at once.
const BLOCK: usize = 20;

/// How many rules the contract has.
const RULES: usize = 9;

/// What the prose never says, and why.
const NEVER: &[(&str, &str)] = &[
    ("simply", "who does not find it simple stops reading"),
    ("ignore this for now", "what is not needed yet is not shown yet"),
    ("obviously", "who does not see it stops reading"),
];

// ── The whole ────────────────────────────────────────────────────────────────────────────────

/// Contents, chapters, layers, the crate's list of them and the table in the README tell of the
/// same twenty.
#[test]
fn the_ladder_is_the_same_everywhere() {
    let mut problems = Problems::default();
    let ladder = ladder();
    problems.need(ladder.len() == 20, "chapters/SUMMARY.md", "the ladder has twenty layers");
    for (rung, number) in ladder.iter().zip(1..) {
        let text = &rung.text;
        problems.need(
            text.starts_with(&format!("{number} · ")),
            "chapters/SUMMARY.md",
            format!("`{text}` stands where {number} should"),
        );
    }

    let linked = ladder.iter().filter(|rung| rung.is_there).map(|rung| rung.folder());
    let linked = linked.collect::<BTreeSet<_>>();
    let folders = chapters().into_iter().map(|chapter| chapter.folder).collect::<BTreeSet<_>>();
    problems.same("chapters linked in SUMMARY.md", &linked, "folders of chapters", &folders);
    let layers = files("src", "rs").into_iter().filter_map(|path| {
        Some(path.strip_prefix("src/ch")?.strip_suffix(".rs")?.replace('_', "-"))
    });
    problems.same("folders of chapters", &folders, "layers in src", &layers.collect());
    let scenes = SCENES.iter().map(|(folder, _)| folder.to_string()).collect();
    problems.same("folders of chapters", &folders, "SCENES in this test", &scenes);

    let readme = Page::read("README.md");
    let rows = readme.tables().into_iter().filter(|row| row[0].contains(" · "));
    let rows = rows.collect::<Vec<_>>();
    let texts = rows.iter().map(|row| row[0].clone()).collect::<BTreeSet<_>>();
    let rungs = ladder.iter().map(|rung| rung.text.clone()).collect::<BTreeSet<_>>();
    problems.same("layers in SUMMARY.md", &rungs, "rows of README.md's table", &texts);
    for (row, rung) in rows.iter().zip(&ladder) {
        let row = row.join(" | ");
        let (chapter, layer) = (format!("(chapters/{}/README.md)", rung.folder()), rung.layer());
        let place = format!("README.md: the row of {}", rung.text);
        problems.need(row.starts_with(&rung.text), &place, "out of order");
        problems.need(row.contains(&chapter) == rung.is_there, &place, "links to what is there");
        problems.need(row.contains(&layer) == rung.is_there, &place, "names the file, once done");
    }

    let library = read("src/lib.rs");
    for chapter in chapters() {
        let include = format!("include_str!(\"../{}\")", chapter.file("README.md"));
        problems.need(library.contains(&include), "src/lib.rs", format!("has no `{include}`"));
    }
    problems.report();
}

/// The parts of a chapter, in their order, with what belongs into each.
#[test]
fn every_chapter_has_the_same_shape() {
    let mut problems = Problems::default();
    for chapter in chapters() {
        let (page, n) = (chapter.page(), chapter.number);
        let mut need = |holds: bool, what: &str| problems.need(holds, &page.path, what);

        let headings = page.headings();
        let titles = headings.iter().filter(|heading| heading.level == 1).collect::<Vec<_>>();
        let title = titles.first().map(|heading| heading.text.as_str()).unwrap_or_default();
        need(
            titles.len() == 1 && title.starts_with(&format!("{n} · ")),
            &format!("begins with `# {n} · Title`, and has no other title"),
        );
        let found = headings.iter().filter(|heading| heading.level == 2);
        let found = found.map(|heading| heading.text.as_str()).collect::<Vec<_>>();
        need(found == ANATOMY, &format!("its headings are {found:?}, and should be {ANATOMY:?}"));

        let head = page.head();
        let head = head.iter().map(String::as_str).collect::<Vec<_>>();
        let starts = ["**You will have** ", "**Time:** ", "**Files:** ", "**Commands:** "];
        need(
            head.len() == 4 && head.iter().zip(starts).all(|(line, start)| line.starts_with(start)),
            &format!("its head, quoted lines that render as lines, is {starts:?}; found {head:?}"),
        );
        let (folder, slug) = (&chapter.folder, chapter.suite());
        for part in [
            format!("`{}`", chapter.layer()),
            format!("`tests/my_{slug}.rs`"),
            format!("`cargo run --example {folder}`"),
            format!("`cargo course check {n}`"),
            format!("`cargo course hint {n}`"),
        ] {
            need(head.concat().contains(&part), &format!("its head has no {part}"));
        }

        for (section, parts) in [
            ("Run it first", vec!["```text\n{{#include output.txt}}\n```".to_owned()]),
            ("Predict", vec!["★".to_owned(), "<details>".to_owned()]),
            ("The idea", vec![".svg".to_owned(), "{{#include trace.md}}".to_owned()]),
            (
                "Your turn",
                vec![
                    format!("cargo course check {n}"),
                    format!("cargo test --test my_{slug}"),
                    "Stop here if you are building".to_owned(),
                ],
            ),
            ("Before and after", vec!["**New words".to_owned(), "../glossary.md#".to_owned()]),
        ] {
            let text = page.section(section);
            for part in parts {
                need(text.contains(&part), &format!("`{section}` has no {part:?}"));
            }
        }
        let answers = page.section("Check yourself").matches("<details>").count();
        need(
            (3..=4).contains(&answers),
            &format!("`Check yourself` folds {answers} answers, not 3–4"),
        );

        let words = page.words();
        need(WORDS.contains(&words), &format!("has {words} words of open prose, not {WORDS:?}"));
    }
    problems.report();
}

/// Every rule of a chapter leads to the contract and names a check that holds it.
#[test]
fn every_rule_is_held_by_a_check() {
    let mut problems = Problems::default();
    for chapter in chapters() {
        let page = chapter.page();
        let checks = checks(&chapter.suite());
        let section = page.section("The contract");
        let rules = numbered(&section);
        problems.need(
            (2..=4).contains(&rules.len()),
            &page.path,
            format!("`The contract` numbers {} rules, not 2–4", rules.len()),
        );
        for (rule, text) in rules.iter().zip(1..) {
            let place = format!("{}: rule {text} of `The contract`", page.path);
            problems.need(rule.contains("(../contract.md#rule-"), &place, "is not linked");
            let held = code_spans(rule).iter().any(|name| checks.contains(*name));
            problems.need(held, &place, "names no check of the suite");
        }
    }

    let contract = Page::read("chapters/contract.md");
    let all =
        chapters().iter().flat_map(|chapter| checks(&chapter.suite())).collect::<BTreeSet<_>>();
    for number in 1..=RULES {
        let place = format!("{}: rule {number}", contract.path);
        problems.need(contract.ids().contains(&format!("rule-{number}")), &place, "has no heading");
        let section = contract.section_by_id(&format!("rule-{number}"));
        problems.need(section.contains("(symptoms.md#"), &place, "leads to no symptom");
        problems.need(
            section.contains("https://doc.rust-lang.org/"),
            &place,
            "cites no page of std's",
        );
    }
    for line in contract.text.lines().filter(|line| line.starts_with("**Held by**")) {
        for name in code_spans(line) {
            problems.need(
                all.contains(name),
                &contract.path,
                format!("there is no check `{name}`"),
            );
        }
    }
    problems.report();
}

/// The tags that a reader can be told, and the entries that explain them.
#[test]
fn every_tag_has_its_symptom() {
    let mut problems = Problems::default();
    let page = Page::read("chapters/symptoms.md");
    let headings = page.headings().into_iter().filter(|heading| heading.level == 2);
    let entries = headings.map(|heading| heading.text).collect::<BTreeSet<_>>();
    let tags = support::story::TAGS.iter().map(|(tag, _)| tag.to_string()).collect();
    problems.same("entries of symptoms.md", &entries, "TAGS in tests/support/story.rs", &tags);
    problems.report();
}

/// Whoever reads aloud does not stumble.
#[test]
fn the_prose_avoids_some_words() {
    let mut problems = Problems::default();
    for page in pages().into_iter().chain([Page::read("README.md")]) {
        for line in page.lines().iter().filter(|line| line.code.is_none()) {
            let text = line.text.to_lowercase();
            for (words, why) in NEVER {
                let said = text.match_indices(words).any(|(at, _)| {
                    let (before, after) = (&text[..at], &text[at + words.len()..]);
                    !before.ends_with(char::is_alphabetic)
                        && !after.starts_with(char::is_alphabetic)
                });
                problems.need(!said, page.at(line.number), format!("says {words:?}: {why}"));
            }
        }
    }
    problems.report();
}

// ── Quotes ───────────────────────────────────────────────────────────────────────────────────

/// mdBook renders an include of nothing as an empty block, and exits with success.
#[test]
fn every_include_exists() {
    let mut problems = Problems::default();
    for page in pages() {
        for include in page.includes() {
            let place = page.at(include.line);
            let Some(source) = read_if_there(&include.path) else {
                problems.add(place, format!("there is no {}", include.path));
                continue;
            };
            let anchors = anchors(&source);
            let Some(name) = include.anchor else {
                let bare = anchors.is_empty();
                problems.need(bare, place, format!("shows the marks of {}", include.path));
                continue;
            };
            let found = anchors.iter().filter(|anchor| anchor.name == name).collect::<Vec<_>>();
            let what = format!("{}:{name}", include.path);
            match found[..] {
                [] => problems.add(place, format!("{what} is not there")),
                [Anchor { end: None, .. }] => problems.add(place, format!("{what} does not end")),
                [_] => {}
                _ => problems.add(place, format!("{what} is there {} times", found.len())),
            }
        }
    }
    problems.report();
}

/// A chapter shows the whole of its layer: what is marked is quoted, in blocks one can take in.
#[test]
fn every_chapter_quotes_its_whole_layer() {
    let mut problems = Problems::default();
    for chapter in chapters() {
        let (page, layer) = (chapter.page(), chapter.layer());
        let source = read(&layer);
        let anchors = anchors(&source);
        let items = anchors.iter().filter(|anchor| !anchor.name.starts_with("todo_"));
        for anchor in items.clone() {
            let place = format!("{layer}:{}", anchor.name);
            problems.need(anchor.indent == 0, &place, "cuts through an item");
            let lines = anchor.lines;
            problems.need(
                lines <= BLOCK,
                &place,
                format!("is {lines} lines long, not {BLOCK} at most"),
            );
        }
        let marked = items.map(|anchor| anchor.name.clone()).collect::<BTreeSet<_>>();
        let quoted = page.includes().into_iter().filter(|include| include.path == layer);
        let quoted = quoted.filter_map(|include| include.anchor).collect::<BTreeSet<_>>();
        problems.same(
            &format!("anchors of {layer}"),
            &marked,
            &format!("quotes in {}", page.path),
            &quoted,
        );
    }
    problems.report();
}

/// Code in prose is a quote, or `cargo test --doc` compiles it.
#[test]
fn every_code_block_is_compiled() {
    let mut problems = Problems::default();
    for page in pages() {
        let is_doc_tested = page.path.ends_with("/README.md");
        for block in page.blocks() {
            let place = page.at(block.line);
            let flags = block.info.split(',').map(str::trim).collect::<Vec<_>>();
            let is_quote = block.text.lines().all(|line| line.starts_with("{{#include"));
            match flags[0] {
                "" => problems.add(place, "this block has no language: rustdoc takes it for Rust"),
                "rust" if is_quote => {
                    problems.need(flags.contains(&"ignore"), place, "a quote is marked `ignore`")
                }
                "rust" => problems.need(
                    is_doc_tested && !flags.contains(&"ignore"),
                    place,
                    "this Rust is neither quoted nor compiled",
                ),
                _ => {}
            }
        }
    }
    problems.report();
}

// ── Links, pictures, files ───────────────────────────────────────────────────────────────────

/// Every link inside the book leads to a page of the book, or to a file that goes with it.
#[test]
fn every_link_leads_somewhere() {
    let mut problems = Problems::default();
    let in_contents = Page::read("chapters/SUMMARY.md").links().into_iter();
    let mut in_contents = in_contents.map(|link| link.target).collect::<BTreeSet<_>>();
    in_contents.insert("README.md".to_owned());
    in_contents.insert("chapters/SUMMARY.md".to_owned());

    for page in pages().into_iter().chain([Page::read("README.md")]) {
        let is_in_book = page.path.starts_with("chapters/");
        for link in page.links() {
            let (place, target) = (page.at(link.line), &link.target);
            if !Path::new(env!("CARGO_MANIFEST_DIR")).join(target).exists() {
                problems.add(place, format!("there is no {target}"));
                continue;
            }
            if is_in_book {
                let inside = target.starts_with("chapters/");
                problems.need(inside, &place, format!("{target} is not part of the book"));
                let page = !target.ends_with(".md") || in_contents.contains(target);
                problems.need(page, &place, format!("{target} is not in the contents"));
            }
            if let Some(id) = &link.fragment {
                let known = target.ends_with(".md") && Page::read(target).ids().contains(id);
                problems.need(known, &place, format!("{target} has no #{id}"));
            }
        }
    }
    problems.report();
}

/// Pictures that one can read on a small screen, in the dark, and with the ears.
#[test]
fn every_picture_can_be_read() {
    let mut problems = Problems::default();
    let all = pages().into_iter().chain([Page::read("README.md")]).collect::<Vec<_>>();
    for path in files("chapters", "svg") {
        let svg = read(&path);
        let mut need = |holds: bool, what: &str| problems.need(holds, &path, what);
        // It stands in the page as HTML, which Markdown ends at the first blank line.
        let first = svg.lines().next().unwrap_or_default();
        need(
            first.starts_with("<svg ") && first.ends_with('>'),
            "its first line is the whole <svg …>",
        );
        need(svg.lines().all(|line| !line.trim().is_empty()), "has a blank line");
        for part in ["viewBox=\"", "<title", "<desc"] {
            need(svg.contains(part), &format!("has no {part}"));
        }
        if path != "chapters/tower.svg" {
            for colour in fixed_colours(&svg) {
                need(false, &format!("has the fixed colour `{colour}`, not `currentColor`"));
            }
        }
        let width = attribute(first, "viewBox").and_then(|view| {
            view.split_whitespace().nth(2).and_then(|width| width.parse::<f64>().ok())
        });
        for size in values(&svg, "font-size") {
            let size = size.trim_end_matches("px").parse::<f64>();
            let legible =
                width.zip(size.ok()).is_none_or(|(width, size)| size * 360.0 / width >= 9.0);
            need(legible, "its text is smaller than 9 px on a screen of 360 px");
        }
        let users = all.iter().filter(|page| {
            let includes = page.includes().into_iter().map(|include| include.path);
            let links = page.links().into_iter().map(|link| link.target);
            includes.chain(links).any(|used| used == path)
        });
        need(users.count() > 0, "no page shows it");
    }

    for page in &all {
        let mut ids = BTreeSet::new();
        for include in page.includes().iter().filter(|include| include.path.ends_with(".svg")) {
            for id in values(&read_if_there(&include.path).unwrap_or_default(), "id") {
                let new = ids.insert(id.to_owned());
                problems.need(new, page.at(include.line), format!("id=\"{id}\" is there twice"));
            }
        }
    }
    problems.report();
}

/// A file in a chapter's folder is compiled, shown or made; there is no other.
#[test]
fn every_file_of_a_chapter_has_its_place() {
    let mut problems = Problems::default();
    let manifest = read("Cargo.toml");
    for chapter in chapters() {
        let (page, folder) = (chapter.page(), format!("chapters/{}", chapter.folder));
        let includes = page.includes().into_iter().map(|include| include.path);
        let includes = includes.collect::<BTreeSet<_>>();
        let known = ["README.md", "hints.md", "extend.rs", "starter.rs", "output.txt", "trace.md"];
        for name in known {
            problems.need(exists(&chapter.file(name)), &folder, format!("has no {name}"));
        }
        for path in files(&folder, "") {
            let name = path.strip_prefix(&format!("{folder}/")).unwrap();
            let told = name.strip_prefix("mistakes/").and_then(|name| name.strip_suffix(".txt"));
            let has_place = known.contains(&name)
                || told.is_some_and(|mistake| {
                    exists(&chapter.file(&format!("mistakes/{mistake}.rs")))
                })
                || manifest.contains(&format!("path = \"{path}\""))
                || includes.contains(&path)
                || page.links().iter().any(|link| link.target == path)
                || page.text.contains(&format!("`{name}`"));
            problems.need(has_place, &path, "is no Cargo target, and the chapter does not show it");
        }
    }
    problems.report();
}

/// `<details>` needs blank lines, or its Markdown stays as it is.
#[test]
fn every_folded_text_is_rendered() {
    let mut problems = Problems::default();
    for page in pages() {
        let lines = page.lines();
        let text = |number: usize| {
            lines.get(number.wrapping_sub(1)).map(|line| line.text.trim()).unwrap_or_default()
        };
        for line in lines.iter().filter(|line| line.code.is_none()) {
            let (place, line, number) = (page.at(line.number), line.text.trim(), line.number);
            if line.starts_with("<details") {
                problems.need(text(number - 1).is_empty(), &place, "a blank line goes before it");
                let open = line.ends_with("</summary>");
                problems.need(open, &place, "write `<details><summary>…</summary>` on one line");
            }
            if line.ends_with("</summary>") {
                problems.need(text(number + 1).is_empty(), &place, "a blank line goes after it");
            }
            if line.contains("</details>") {
                problems.need(text(number - 1).is_empty(), &place, "a blank line goes before it");
                problems.need(text(number + 1).is_empty(), &place, "a blank line goes after it");
            }
        }
        let opened = page.text.matches("<details").count();
        let closed = page.text.matches("</details>").count();
        problems.need(opened == closed, &page.path, "a `<details>` stays open");
    }
    problems.report();
}

// ── Exercises ────────────────────────────────────────────────────────────────────────────────

/// The holes of the code are the table that announces them and the hints that help.
#[test]
fn every_hole_is_announced_and_has_hints() {
    let mut problems = Problems::default();
    let mut texts = BTreeMap::new();
    for chapter in chapters() {
        let (page, layer) = (chapter.page(), chapter.layer());
        let numbers = |path: &str| {
            let holes = starter::holes(&read_if_there(path).unwrap_or_default());
            holes.into_iter().map(|hole| hole.number).collect::<BTreeSet<_>>()
        };
        let (recall, more) = (numbers(&layer), numbers(&chapter.file("extend.rs")));
        let holes = recall.union(&more).cloned().collect::<BTreeSet<_>>();

        let place = format!("{}: `Your turn`", page.path);
        let (mut announced, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        for row in Page::new(&page.path, page.section("Your turn")).tables() {
            let number = row[0].trim_start_matches("TODO ").trim_matches('`').to_owned();
            if row.len() < 4 || !number.starts_with(|first: char| first.is_ascii_digit()) {
                continue;
            }
            let stars = !row[1].is_empty() && row[1].chars().all(|star| star == '★');
            problems.need(stars, &place, format!("{number}: `{}` is no number of ★", row[1]));
            let kind = row[2].as_str();
            let fits = if kind == "recall" { &recall } else { &more }.contains(&number);
            problems.need(
                fits && ["recall", "extend", "repair"].contains(&kind),
                &place,
                format!(
                    "{number} is no `{kind}`: recall is in the layer, extend and repair are not"
                ),
            );
            let twin = texts.insert(row[3].clone(), format!("{} {number}", chapter.folder));
            if let Some(twin) = twin {
                problems.add(&place, format!("{number} is the exercise of {twin}"));
            }
            kinds.insert(row[2].clone());
            announced.insert(number);
        }
        problems.same("holes in the code", &holes, &format!("rows in {place}"), &announced);
        for kind in ["recall", "extend", "repair"] {
            problems.need(kinds.contains(kind), &place, format!("has no exercise of kind {kind}"));
        }

        let hints = chapter.file("hints.md");
        let source = read_if_there(&hints).unwrap_or_default();
        let wanted = holes.iter().map(|hole| format!("hint_{}", hole.replace('.', "_")));
        let wanted = wanted.collect::<BTreeSet<_>>();
        let hinted = anchors(&source).into_iter().map(|anchor| anchor.name).collect();
        problems.same("hints for the holes", &wanted, &hints, &hinted);
        let shown = page.includes().into_iter().filter(|include| include.path == hints);
        let shown = shown.filter_map(|include| include.anchor).collect();
        problems.same("hints for the holes", &wanted, &format!("hints in {place}"), &shown);
        for anchor in anchors(&source) {
            let steps = 1 + anchor.text.lines().filter(|line| *line == "---").count();
            let place = format!("{hints}:{}", anchor.name);
            problems.need((2..=3).contains(&steps), place, format!("has {steps} steps, not 2–3"));
        }
    }
    problems.report();
}

/// The section that breaks things shows at least two mistakes whole: the code, what one is told
/// for it, and the way to the symptom.
#[test]
fn every_mistake_shown_is_explained() {
    let mut problems = Problems::default();
    for chapter in chapters() {
        let page = chapter.page();
        let section = Page::new(&page.path, page.section("Break it"));
        let includes = section.includes().into_iter().map(|include| include.path);
        let includes = includes.collect::<BTreeSet<_>>();
        let place = format!("{}: `Break it`", page.path);
        let mistakes = includes.iter().filter(|path| path.ends_with(".rs")).collect::<Vec<_>>();
        problems.need(mistakes.len() >= 2, &place, "shows fewer than two mistakes");
        for path in mistakes {
            let source = read_if_there(path).unwrap_or_default();
            let tag = source.strip_prefix("// [").and_then(|rest| rest.split(']').next());
            let tag = tag.unwrap_or("no tag");
            let told = path.replace(".rs", ".txt");
            problems.need(includes.contains(&told), &place, format!("does not show {told}"));
            let link = format!("(../symptoms.md#{tag})");
            problems.need(section.text.contains(&link), &place, format!("has no link {link}"));
        }
    }
    problems.report();
}

// ── Runs ─────────────────────────────────────────────────────────────────────────────────────

/// The output that a chapter shows is what its example prints, but for numbers after a `~`.
#[test]
fn every_output_is_what_the_example_prints() {
    let mut problems = Problems::default();
    for chapter in chapters() {
        let run = Command::new(example(&chapter)).stdin(Stdio::null()).output().unwrap();
        let printed = String::from_utf8_lossy(&run.stdout).replace("\r\n", "\n");
        let place = format!("the example {}", chapter.folder);
        problems.need(run.status.success(), &place, format!("ends with {}", run.status));
        problems.need(run.stderr.is_empty(), &place, String::from_utf8_lossy(&run.stderr));
        problems.need(!printed.is_empty(), &place, "prints nothing");
        compare(&mut problems, &chapter.file("output.txt"), &printed);
    }
    problems.report();
}

/// `cargo run --example 04-park | head -1` ends without a word on standard error.
#[test]
fn no_example_minds_a_closed_pipe() {
    let mut problems = Problems::default();
    for chapter in chapters() {
        // Closed before the first line: the surest way to meet every write.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut run = Command::new(example(&chapter));
        let run = run.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let place = format!("the example {}, its output closed,", chapter.folder);
        problems.need(run.status.success(), &place, format!("ends with {}", run.status));
        problems.need(run.stderr.is_empty(), &place, String::from_utf8_lossy(&run.stderr));
    }
    problems.report();
}

/// The trace that a chapter shows is what happens.
#[test]
fn every_trace_is_what_happens() {
    let mut problems = Problems::default();
    for (folder, scene) in SCENES {
        let path = format!("chapters/{folder}/trace.md");
        // Where threads are at work, another order is possible, if unlikely.
        for attempt in 1..=5 {
            let committed = read_if_there(&path).unwrap_or_default();
            match trace(*scene) {
                Ok(trace) if timeless(&trace) == timeless(&committed) => break,
                Ok(trace) if attempt == 5 => compare(&mut problems, &path, &trace),
                Err(why) if attempt == 5 => problems.add(&path, why),
                _ => {}
            }
        }
    }
    problems.report();
}

/// Compares a generated file with what it should be now; writes it if asked to.
fn compare(problems: &mut Problems, path: &str, now: &str) {
    if std::env::var_os("BLESS").is_some() && problems.concern(path) {
        fs::write(absolute(path), now).unwrap();
    }
    let committed = read_if_there(path).unwrap_or_default();
    let (old, new) = (timeless(&committed), timeless(now));
    if old == new {
        return;
    }
    let mut text = "is stale: BLESS=1 cargo test --test book".to_owned();
    let (old, new) = (old.lines().collect::<Vec<_>>(), new.lines().collect::<Vec<_>>());
    let differ = (0..old.len().max(new.len())).filter(|n| old.get(*n) != new.get(*n)).take(5);
    for n in differ {
        text += &format!("\n  line {}\n    {}\n    ", n + 1, old.get(n).unwrap_or(&"(not there)"));
        text += &format!("is now\n    {}", new.get(n).unwrap_or(&"(not there)"));
    }
    problems.add(path, text);
}

/// `text` without the numbers that follow a `~`, and without the spaces that line them up.
fn timeless(text: &str) -> String {
    let line = |line: &str| {
        let mut parts = line.split('~');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || ",.".contains(c));
            let varies = rest.len() < part.len();
            out.truncate(out.trim_end().len());
            out += if varies { " ~N " } else { " ~" };
            out += rest.trim_start();
        }
        out.trim_end().to_owned() + "\n"
    };
    text.lines().map(line).collect()
}

/// The example of a chapter, as cargo builds it now.
fn example(chapter: &Chapter) -> &'static Path {
    static EXAMPLES: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let examples = EXAMPLES.get_or_init(|| {
        let build = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--examples", "--message-format=json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo can be started");
        let errors = String::from_utf8_lossy(&build.stderr);
        assert!(build.status.success(), "the examples do not compile:\n{errors}");
        let output = String::from_utf8_lossy(&build.stdout);
        let messages = output.lines().filter(|line| line.contains("\"kind\":[\"example\"]"));
        let built = messages.filter_map(|message| {
            let value = |key: &str| {
                let start = message.rfind(&format!("\"{key}\":\""))? + key.len() + 4;
                message[start..].split('"').next()
            };
            let path = value("executable")?.replace("\\\\", "\\");
            let name = PathBuf::from(&path).file_stem()?.to_str()?.to_owned();
            Some((name, PathBuf::from(path)))
        });
        built.collect()
    });
    let found = examples.get(&chapter.folder);
    found.unwrap_or_else(|| panic!("Cargo.toml has no example {}", chapter.folder))
}

// ── Traces ───────────────────────────────────────────────────────────────────────────────────

/// The longest trace that is shown line by line.
const LINES: usize = 16;

/// What happens in a scene, as a table. Every scene has a thread of its own, to begin afresh.
fn trace(scene: fn()) -> Result<String, String> {
    let record = move || {
        let ledger = Ledger::open();
        scene();
        Ledger::close();
        ledger
    };
    let ledger = thread::spawn(record).join().map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().unwrap_or("the scene panicked");
        text.to_owned()
    })?;
    let entries = ledger.entries();
    if entries.is_empty() {
        return Err("nothing happens in the scene".to_owned());
    }
    Ok(table(&entries, ledger.lines() - entries.len() as u64))
}

/// The entries as a table of Markdown, and after them the number of those that were not kept.
fn table(entries: &[Entry], lost: u64) -> String {
    let mut table = "| | thread | who | what happens |\n|--:|:-:|---|---|\n".to_owned();
    let row = |step: usize, entry: &Entry| {
        let thread = char::from(b'A' + entry.thread as u8);
        format!("| {step} | {thread} | {} | {} |\n", entry.who, sentence(entry.event))
    };
    let mut at = 0;
    while at < entries.len() {
        let (length, times) = match entries.len() {
            ..=LINES => (1, 1),
            _ => repetition(&entries[at..]),
        };
        for step in at..at + length {
            table += &row(step + 1, &entries[step]);
        }
        if times > 1 {
            let again = number(times as u64 - 1);
            let these = ["this one", "these two", "these three", "these four"][length - 1];
            table += &format!("| … | | | {again} more like {these} |\n");
        }
        at += length * times;
    }
    if lost > 0 {
        table += &format!("| … | | | and ~{} lines more |\n", number(lost));
    }
    table
}

/// How many lines at the head of `entries` come again at once, and how often they are there in all.
fn repetition(entries: &[Entry]) -> (usize, usize) {
    let same = |a: &Entry, b: &Entry| (a.thread, a.who, a.event) == (b.thread, b.who, b.event);
    let times = |length: usize| {
        let mut lines = entries.iter().zip(entries.iter().cycle().take(length).cycle());
        let alike = lines.position(|(a, b)| !same(a, b)).unwrap_or(entries.len());
        alike / length
    };
    let found = (1..=4).map(|length| (length, times(length))).find(|(_, times)| *times >= 3);
    found.unwrap_or((1, 1))
}

/// `1234567` as `1,234,567`.
fn number(n: u64) -> String {
    match n {
        ..1000 => n.to_string(),
        _ => format!("{},{:03}", number(n / 1000), n % 1000),
    }
}

/// What happened, after the name of the one it happened to.
fn sentence(event: Event) -> &'static str {
    match event {
        Event::Poll => "is polled",
        Event::Pending => "answers `Pending`: not yet",
        Event::Ready => "answers `Ready`: done",
        Event::Clone => "is cloned: one owner more",
        Event::Wake => "is woken: a poll is worth while",
        Event::Drop => "is dropped: one owner less",
        Event::Park => "goes to sleep",
        Event::Unpark => "sleeps no longer",
        Event::Note(note) => note,
    }
}

// ── The book as data ─────────────────────────────────────────────────────────────────────────

/// Everything that is wrong, for one report.
#[derive(Default)]
struct Problems(BTreeSet<String>);

impl Problems {
    fn add(&mut self, place: impl Display, what: impl Display) {
        self.0.insert(format!("{place}: {what}"));
    }

    fn need(&mut self, holds: bool, place: impl Display, what: impl Display) {
        if !holds {
            self.add(place, what);
        }
    }

    /// Two sets that should be the same.
    fn same(&mut self, a: &str, left: &BTreeSet<String>, b: &str, right: &BTreeSet<String>) {
        for only in left.difference(right) {
            self.add(a, format!("{only} is not among the {b}"));
        }
        for only in right.difference(left) {
            self.add(b, format!("{only} is not among the {a}"));
        }
    }

    /// Whether this run is about `text`: about all, or about the one chapter asked for.
    fn concern(&self, text: &str) -> bool {
        let Ok(chapter) = std::env::var("CHAPTER") else { return true };
        text.contains(&chapter) || text.contains(&chapter.replace('-', "_"))
    }

    #[track_caller]
    fn report(self) {
        let problems = self.0.iter().filter(|problem| self.concern(problem));
        let problems = problems.map(String::as_str).collect::<Vec<_>>();
        assert!(problems.is_empty(), "{} problems\n\n{}\n", problems.len(), problems.join("\n"));
    }
}

/// A layer of the ladder, as the contents have it.
struct Rung {
    /// As it is shown: `4 · park`.
    text: String,
    /// Whether its chapter is linked.
    is_there: bool,
}

impl Rung {
    /// `04-park`
    fn folder(&self) -> String {
        let (number, slug) = self.text.split_once(" · ").unwrap_or(("0", &self.text));
        format!("{number:0>2}-{slug}")
    }

    /// `src/ch04_park.rs`
    fn layer(&self) -> String {
        format!("src/ch{}.rs", self.folder().replace('-', "_"))
    }
}

/// The layers that the contents list, those to come included.
fn ladder() -> Vec<Rung> {
    let contents = read("chapters/SUMMARY.md");
    let rungs = contents.lines().filter_map(|line| {
        let (text, link) = line.trim_start().strip_prefix("- [")?.split_once("](")?;
        let rung = Rung { text: text.to_owned(), is_there: link != ")" };
        let right = !rung.is_there || link == format!("{}/README.md)", rung.folder());
        assert!(right, "SUMMARY.md: `{text}` leads to `{link}`, not to its folder");
        text.contains(" · ").then_some(rung)
    });
    rungs.collect()
}

/// A chapter on disk.
struct Chapter {
    /// 4
    number: usize,
    /// `04-park`
    folder: String,
}

impl Chapter {
    fn file(&self, name: &str) -> String {
        format!("chapters/{}/{name}", self.folder)
    }

    fn page(&self) -> Page {
        Page::read(&self.file("README.md"))
    }

    /// `src/ch04_park.rs`
    fn layer(&self) -> String {
        format!("src/ch{}.rs", self.suite())
    }

    /// `04_park`
    fn suite(&self) -> String {
        self.folder.replace('-', "_")
    }
}

/// The chapters on disk, in order.
fn chapters() -> Vec<Chapter> {
    let pages = files("chapters", "md").into_iter();
    let folders = pages.filter_map(|path| {
        let folder = path.strip_prefix("chapters/")?.strip_suffix("/README.md")?;
        let number = folder.split('-').next()?.parse().ok()?;
        Some(Chapter { number, folder: folder.to_owned() })
    });
    folders.collect()
}

/// The names of the checks in a suite.
fn checks(suite: &str) -> BTreeSet<String> {
    let source = read_if_there(&format!("tests/suites/{suite}.rs")).unwrap_or_default();
    let names = source.lines().filter_map(|line| {
        let (_, rest) = line.trim_start().strip_prefix('"')?.split_once("\" fn ")?;
        Some(rest.split('(').next()?.to_owned())
    });
    names.collect()
}

/// Every page under `chapters`.
fn pages() -> Vec<Page> {
    files("chapters", "md").iter().map(|path| Page::read(path)).collect()
}

/// A file of Markdown.
struct Page {
    path: String,
    text: String,
}

/// A line of a page.
struct Line<'a> {
    /// Counted from 1.
    number: usize,
    text: &'a str,
    /// The language and flags of the code block it belongs to, fences included.
    code: Option<&'a str>,
}

struct Heading {
    level: usize,
    /// Without marks of emphasis and of code.
    text: String,
    /// What a link to it says after the `#`.
    id: String,
}

/// A block of code.
struct Block {
    /// Where it begins.
    line: usize,
    info: String,
    text: String,
}

/// A quotation of another file.
struct Include {
    line: usize,
    path: String,
    anchor: Option<String>,
}

/// A link to another file, or within one.
struct Link {
    line: usize,
    /// From the root of the repository.
    target: String,
    fragment: Option<String>,
}

impl Page {
    fn new(path: &str, text: String) -> Self {
        Page { path: path.to_owned(), text }
    }

    fn read(path: &str) -> Self {
        Page::new(path, read_if_there(path).unwrap_or_default())
    }

    /// A place on the page.
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    fn lines(&self) -> Vec<Line<'_>> {
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
    fn prose(&self) -> Vec<(usize, String)> {
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

    fn headings(&self) -> Vec<Heading> {
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
    fn section(&self, heading: &str) -> String {
        self.sections(|found| found.text == heading)
    }

    fn section_by_id(&self, id: &str) -> String {
        self.sections(|found| found.id == id)
    }

    fn sections(&self, wanted: impl Fn(&Heading) -> bool) -> String {
        let mut headings = self.headings().into_iter();
        let mut inside = false;
        let mut text = String::new();
        for line in self.lines() {
            let level = line.text.len() - line.text.trim_start_matches('#').len();
            let is_heading =
                line.code.is_none() && line.text[level..].starts_with(' ') && level > 0;
            if is_heading {
                let heading = headings.next().expect("the same headings as above");
                if level <= 2 {
                    inside = wanted(&heading);
                    continue;
                }
            }
            if inside {
                text += line.text;
                text.push('\n');
            }
        }
        text
    }

    /// The quoted lines after the title, as they are rendered.
    fn head(&self) -> Vec<String> {
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
    fn words(&self) -> usize {
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
    fn tables(&self) -> Vec<Vec<String>> {
        let lines = self.lines().into_iter().filter(|line| line.code.is_none());
        let rows = lines.filter_map(|line| line.text.trim().strip_prefix('|'));
        let cells = |row: &str| {
            let row = row.strip_suffix('|').unwrap_or(row);
            row.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        rows.map(cells).collect()
    }

    fn blocks(&self) -> Vec<Block> {
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

    fn includes(&self) -> Vec<Include> {
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

    fn links(&self) -> Vec<Link> {
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
    fn ids(&self) -> BTreeSet<String> {
        let headings = self.headings().into_iter().map(|heading| heading.id);
        let prose = self.prose();
        let given = prose.iter().flat_map(|(_, text)| values(text, "id"));
        headings.chain(given.map(str::to_owned)).collect()
    }

    /// A path on this page, seen from the root.
    fn resolve(&self, path: &str) -> String {
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
fn plain(heading: &str) -> String {
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
fn id_of(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let id = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    id.collect()
}

/// The items of a numbered list, each on one line.
fn numbered(text: &str) -> Vec<String> {
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

/// What stands between backticks.
fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// A part of a file that can be quoted.
struct Anchor {
    name: String,
    /// How far from the left its mark stands.
    indent: usize,
    /// How many lines of it are shown.
    lines: usize,
    text: String,
    /// Where it ends, if it does.
    end: Option<usize>,
}

/// The anchors of a file, as mdBook finds them.
fn anchors(source: &str) -> Vec<Anchor> {
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

/// The values that `text` gives to an attribute, or to a property of a style.
fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let mut values = Vec::new();
    for (at, _) in text.match_indices(name) {
        let before = text[..at].chars().next_back();
        let rest = text[at + name.len()..].trim_start();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '-') {
            continue;
        }
        let value = match rest.strip_prefix('=').map(str::trim_start) {
            Some(rest) => rest.strip_prefix('"').and_then(|rest| rest.split('"').next()),
            None => rest.strip_prefix(':').and_then(|rest| rest.split(['"', ';', '}']).next()),
        };
        values.extend(value.map(str::trim));
    }
    values
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    values(tag, name).first().copied()
}

/// The colours in a picture that do not follow the page's.
fn fixed_colours(svg: &str) -> Vec<&str> {
    let follows = |value: &&str| {
        ["none", "currentColor", "inherit", "transparent"].contains(value)
            || value.starts_with("url(#")
    };
    let properties = ["fill", "stroke", "color", "stop-color", "flood-color", "background"];
    let values = properties.iter().flat_map(|property| values(svg, property));
    values.filter(|value| !follows(value)).collect()
}

// ── Files ────────────────────────────────────────────────────────────────────────────────────

fn absolute(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn exists(path: &str) -> bool {
    absolute(path).exists()
}

fn read(path: &str) -> String {
    read_if_there(path).unwrap_or_else(|| panic!("there is no {path}"))
}

fn read_if_there(path: &str) -> Option<String> {
    fs::read_to_string(absolute(path)).ok()
}

/// The files below `folder` whose names end in `.extension`, or all of them if that is empty.
fn files(folder: &str, extension: &str) -> Vec<String> {
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
