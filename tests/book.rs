//! The book, proved: what it quotes exists, what it links to is there, what it shows is what the
//! examples do, and every chapter has the same shape.
//!
//! Each test reports everything it finds. While you write one chapter, `CHAPTER=04-park` hides what
//! is said about the others. `BLESS=1 cargo test --test book` writes `output.txt` and `trace.md`,
//! and the table of how-fast.md.

#![cfg(not(miri))] // Reads the source tree and starts processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use under_await::ledger::{Entry, Event};

use page::{Page, between, code_spans, numbered, one_line, pages};
use picture::{attribute, fixed_colours, values};
use problems::Problems;
use trace::{table, trace};
use tree::{
    Anchor, Chapter, absolute, anchors, chapters, checks, exists, files, ladder, mistakes, read,
    read_if_there,
};

#[path = "book/bench.rs"]
mod bench;
#[path = "book/page.rs"]
mod page;
#[path = "book/picture.rs"]
mod picture;
#[path = "book/problems.rs"]
mod problems;
#[path = "book/trace.rs"]
mod trace;
#[path = "book/tree.rs"]
mod tree;

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
#[path = "../chapters/05-handoff/example.rs"]
#[allow(dead_code)]
mod example_05;
#[cfg(unix)]
#[path = "../chapters/06-io-models/example.rs"]
#[allow(dead_code)]
mod example_06;
#[cfg(unix)]
#[path = "../chapters/07-select/example.rs"]
#[allow(dead_code)]
mod example_07;
#[cfg(unix)]
#[path = "../chapters/08-poll/example.rs"]
#[allow(dead_code)]
mod example_08;
#[cfg(unix)]
#[path = "../chapters/09-timer/example.rs"]
#[allow(dead_code)]
mod example_09;
#[cfg(unix)]
#[path = "../chapters/10-net/example.rs"]
#[allow(dead_code)]
mod example_10;
#[cfg(unix)]
#[path = "../chapters/11-task/example.rs"]
#[allow(dead_code)]
mod example_11;
#[path = "../chapters/12-join/example.rs"]
#[allow(dead_code)]
mod example_12;
#[cfg(unix)]
#[path = "../chapters/13-race/example.rs"]
#[allow(dead_code)]
mod example_13;
#[cfg(unix)]
#[path = "../chapters/14-sync/example.rs"]
#[allow(dead_code)]
mod example_14;
#[cfg(unix)]
#[path = "../chapters/15-serve/example.rs"]
#[allow(dead_code)]
mod example_15;
#[cfg(unix)]
#[path = "../chapters/16-pool/example.rs"]
#[allow(dead_code)]
mod example_16;

/// The part of an example whose trace its chapter shows. What a block imports goes before what is
/// around it: without a `scene` of the example's own, the one below is run.
macro_rules! scene_of {
    ($example:ident) => {
        || {
            #[allow(unused_imports)]
            use $example::*;
            scene();
        }
    };
}

#[allow(dead_code)] // For the chapter that is being written.
fn scene() {
    panic!("the example has no `pub(crate) fn scene()`");
}

const SCENES: &[(&str, fn())] = &[
    ("01-future", scene_of!(example_01)),
    ("02-block-on", scene_of!(example_02)),
    ("03-waker", scene_of!(example_03)),
    ("04-park", scene_of!(example_04)),
    ("05-handoff", scene_of!(example_05)),
    #[cfg(unix)]
    ("06-io-models", scene_of!(example_06)),
    #[cfg(unix)]
    ("07-select", scene_of!(example_07)),
    #[cfg(unix)]
    ("08-poll", scene_of!(example_08)),
    #[cfg(unix)]
    ("09-timer", scene_of!(example_09)),
    #[cfg(unix)]
    ("10-net", scene_of!(example_10)),
    #[cfg(unix)]
    ("11-task", scene_of!(example_11)),
    ("12-join", scene_of!(example_12)),
    #[cfg(unix)]
    ("13-race", scene_of!(example_13)),
    #[cfg(unix)]
    ("14-sync", scene_of!(example_14)),
    #[cfg(unix)]
    ("15-serve", scene_of!(example_15)),
    #[cfg(unix)]
    ("16-pool", scene_of!(example_16)),
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

/// How many words a chapter has that are not code, not in a table and not folded: what one reads in
/// a quarter of an hour.
const WORDS: RangeInclusive<usize> = 1200..=2300;

/// How many lines of code a reader takes in at once.
const BLOCK: usize = 20;

/// How many rules the contract has.
const RULES: usize = 9;

/// What the prose never says, and why.
const NEVER: &[(&str, &str)] = &[
    ("simply", "who does not find it simple stops reading"),
    ("just", "what is said to be little seems much to who does not have it yet"),
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
        let place = format!("chapters/SUMMARY.md: `{}`", rung.text);
        let in_order = rung.text.starts_with(&format!("{number} · "));
        problems.need(in_order, &place, format!("stands where {number} should"));
        let right = rung.link.is_empty() || rung.link == format!("{}/README.md", rung.folder());
        problems.need(right, &place, format!("leads to {}", rung.link));
    }

    let linked = ladder.iter().filter(|rung| !rung.link.is_empty()).map(|rung| rung.folder());
    let linked = linked.collect::<BTreeSet<_>>();
    let folders = chapters().into_iter().map(|chapter| chapter.folder).collect::<BTreeSet<_>>();
    problems.same("chapters linked in SUMMARY.md", &linked, "folders of chapters", &folders);
    let layers = files("src", "rs").into_iter().filter_map(|path| {
        let name = path.strip_prefix("src/ch")?.strip_suffix(".rs")?;
        (!name.contains('/')).then(|| name.replace('_', "-"))
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
        let is_there = !rung.link.is_empty();
        problems.need(
            row.contains(&chapter) == is_there,
            &place,
            "links to the chapter once it is there",
        );
        problems.need(row.contains(&layer) == is_there, &place, "names the file once it is there");
    }

    let tower = read("chapters/tower.svg");
    for rung in &ladder {
        let floor = tower.lines().find(|line| line.contains(&format!(">{}</text>", rung.text)));
        let class = if rung.link.is_empty() { "class=\"planned\"" } else { "class=\"built\"" };
        let right = floor.is_some_and(|floor| floor.contains(class));
        problems.need(right, "chapters/tower.svg", format!("the floor {} has {class}", rung.text));
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
        let (page, n) = (Page::of(&chapter), chapter.number);
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
        let sources = chapter.sources().into_iter().map(|path| format!("`{path}`"));
        for part in sources.chain([
            format!("`tests/my_{slug}.rs`"),
            format!("`cargo run --example {folder}`"),
            format!("`cargo course check {n}`"),
            format!("`cargo course hint {n}`"),
        ]) {
            need(head.concat().contains(&part), &format!("its head has no {part}"));
        }

        for (section, parts) in [
            ("Run it first", vec!["```text\n{{#include output.txt}}\n```".to_owned()]),
            ("Predict", vec!["★".to_owned(), "<details>".to_owned()]),
            ("The idea", vec![".svg".to_owned(), "{{#include trace.md}}".to_owned()]),
            (
                "Your turn",
                vec![
                    format!("```sh\ncargo course check {n} "),
                    format!("\ncargo test --test my_{slug} "),
                    "| TODO | ★ | kind | what |".to_owned(),
                    "**Stop here if you are building.** What follows shows the answers.".to_owned(),
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
    let chapters = chapters();
    for chapter in &chapters {
        let page = Page::of(chapter);
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
    for number in 1..=RULES {
        let place = format!("{}: rule {number}", contract.path);
        let start = format!("Rule {number}: ");
        let mut headings = contract.headings().into_iter().map(|heading| heading.text);
        let heading = headings.find(|text| text.starts_with(&start)).unwrap_or_default();
        let section = one_line(&contract.section(&heading));
        let id = format!("<a id=\"rule-{number}\"></a>");
        let linked = contract.text.contains(&format!("{id}\n\n## {start}"));
        problems.need(linked, &place, format!("stands below `{id}`"));
        problems.need(section.contains("(symptoms.md#"), &place, "leads to no symptom");
        let cites = section.contains("(https://doc.rust-lang.org/std/");
        problems.need(cites, &place, "cites no page of std's");
        let held = between(&section, "**Held by**", "**Broken by**");
        problems.need(held.contains("chapter "), &place, "does not say who holds it");
        let linked = format!("(../contract.md#rule-{number})");
        for chapter in &chapters {
            let claims = Page::of(chapter).section("The contract").contains(&linked);
            let said = held.contains(&format!("[chapter {}]", chapter.number));
            let missing =
                format!("`Held by` leaves out chapter {}, which claims it", chapter.number);
            problems.need(said || !claims, &place, missing);
        }
        for part in held.split("[chapter ").skip(1) {
            let chapter =
                chapters.iter().find(|chapter| part.starts_with(&format!("{}]", chapter.number)));
            let checks = chapter.map(|chapter| checks(&chapter.suite())).unwrap_or_default();
            for name in code_spans(part) {
                problems.need(checks.contains(name), &place, format!("there is no check `{name}`"));
            }
        }
    }
    problems.report();
}

/// A rule leads to the symptoms of its being broken, and each of them leads back.
#[test]
fn every_rule_and_its_symptoms_know_each_other() {
    let mut problems = Problems::default();
    let (contract, symptoms) =
        (Page::read("chapters/contract.md"), Page::read("chapters/symptoms.md"));
    let headings = contract.headings();
    for number in 1..=RULES {
        let start = format!("Rule {number}: ");
        let heading = headings.iter().find(|heading| heading.text.starts_with(&start));
        let section = one_line(&contract.section(heading.map_or("", |heading| &heading.text)));
        let told = between(&section, "**Told as**", "\0").split("(symptoms.md#").skip(1);
        let told = told.filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect();
        let cites =
            |tag: &&str| symptoms.section(tag).contains(&format!("(contract.md#rule-{number})"));
        let tags = support::story::TAGS.iter().map(|(tag, _)| *tag).filter(cites);
        let tags = tags.map(str::to_owned).collect();
        let place = format!("`Told as` of rule {number}");
        problems.same(&place, &told, "entries of symptoms.md that cite it", &tags);
    }
    problems.report();
}

/// Each tag that a reader can be told has an entry, with its rule and the mistakes that show it.
#[test]
fn every_tag_has_its_symptom() {
    let mut problems = Problems::default();
    let page = Page::read("chapters/symptoms.md");
    let headings = page.headings().into_iter().filter(|heading| heading.level == 2);
    let entries = headings.map(|heading| heading.text).collect::<BTreeSet<_>>();
    let tags = support::story::TAGS.iter().map(|(tag, _)| tag.to_string()).collect();
    problems.same("entries of symptoms.md", &entries, "TAGS in tests/support/story.rs", &tags);

    for (tag, rule) in support::story::TAGS {
        let place = format!("{}: {tag}", page.path);
        let section = one_line(&page.section(tag));
        problems.need(
            section.contains(&format!("**The rule:** {rule}.")),
            &place,
            format!("its rule is: {rule}."),
        );
        let shown = code_spans(between(&section, "**Shown by**", "\0"));
        let shown = shown.into_iter().map(str::to_owned).collect();
        let mistakes = mistakes().into_iter().filter(|(_, told)| told == tag);
        let mistakes = mistakes.map(|(name, _)| name).collect();
        problems.same(
            "mistakes in the chapters",
            &mistakes,
            &format!("mistakes in {place}"),
            &shown,
        );
    }
    problems.report();
}

/// A word is found where one looks for it.
#[test]
fn the_glossary_is_in_order() {
    let mut problems = Problems::default();
    let page = Page::read("chapters/glossary.md");
    let terms = page.headings().into_iter().filter(|heading| heading.level == 2);
    let terms = terms.map(|heading| heading.text.to_lowercase()).collect::<Vec<_>>();
    for pair in terms.windows(2) {
        let [first, second] = [&pair[0], &pair[1]];
        problems.need(first < second, &page.path, format!("{second} comes after {first}"));
    }
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

/// What a layer marks its chapter shows, in blocks that one can take in.
#[test]
fn every_chapter_quotes_what_its_layer_marks() {
    let mut problems = Problems::default();
    let parts = chapters().into_iter().flat_map(|chapter| {
        chapter.sources().into_iter().map(move |layer| (Page::of(&chapter), layer))
    });
    for (page, layer) in parts {
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

/// The table of "How fast is it?" is that of the run which the page quotes in full.
#[test]
fn the_table_of_the_bench_is_that_of_its_run() {
    const PAGE: &str = "chapters/how-fast.md";
    let page = read(PAGE);
    let (before, rest) =
        page.split_once("|---|---|---:|---:|---:|---:|\n").expect("a table's head");
    let (shown, after) = rest.split_once("\n\n").expect("a line behind the table");
    let wanted = bench::table();
    if std::env::var_os("BLESS").is_some() {
        let head = "|---|---|---:|---:|---:|---:|\n";
        return fs::write(absolute(PAGE), format!("{before}{head}{wanted}\n{after}")).unwrap();
    }
    assert_eq!(shown.to_owned() + "\n", wanted, "{PAGE} is stale: BLESS=1 cargo test --test book");
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
    let in_contents = in_contents.map(|link| link.target).collect::<BTreeSet<_>>();

    for page in pages().into_iter().chain([Page::read("README.md")]) {
        let is_in_book = page.path.starts_with("chapters/");
        for link in page.links() {
            let (place, target) = (page.at(link.line), &link.target);
            if !exists(target) {
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
        for part in ["<title", "<desc"] {
            need(svg.contains(part), &format!("has no {part}>"));
        }
        if path != "chapters/tower.svg" {
            for colour in fixed_colours(&svg) {
                need(false, &format!("has the fixed colour `{colour}`, not `currentColor`"));
            }
        }
        let width =
            attribute(first, "viewBox").and_then(|view| view.split(' ').nth(2)?.parse().ok());
        need(width.is_some(), "has no viewBox=\"0 0 width height\"");
        for size in values(&svg, "font-size") {
            let size = size.trim_end_matches("px").parse::<f64>();
            let on_screen =
                size.ok().zip(width).map(|(size, width): (f64, f64)| size * 360.0 / width);
            let legible = on_screen.is_none_or(|size| size >= 9.0);
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
        let (page, folder) = (Page::of(&chapter), format!("chapters/{}", chapter.folder));
        let includes = page.includes().into_iter().map(|include| include.path);
        let includes = includes.collect::<BTreeSet<_>>();
        let known = ["README.md", "hints.md", "extend.rs", "starter.rs", "output.txt", "trace.md"];
        for name in known {
            problems.need(exists(&chapter.file(name)), &folder, format!("has no {name}"));
        }
        for path in files(&folder, "") {
            let name = path.strip_prefix(&format!("{folder}/")).unwrap();
            // `exercises.rs` examines every mistake, and the symptoms list it.
            let mistake = name.starts_with("mistakes/") && exists(&path.replace(".txt", ".rs"));
            let has_place = known.contains(&name)
                || mistake
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
        let page = Page::of(&chapter);
        let numbers = |path: &str| {
            let holes = starter::holes(&read_if_there(path).unwrap_or_default());
            holes.into_iter().map(|hole| hole.number).collect::<BTreeSet<_>>()
        };
        let recall = chapter.sources().into_iter().flat_map(|path| numbers(&path));
        let recall = recall.collect::<BTreeSet<_>>();
        let more = numbers(&chapter.file("extend.rs"));
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
            let steps = 1 + anchor.text.matches("\n\n---\n").count();
            let place = format!("{hints}:{}", anchor.name);
            problems.need((2..=3).contains(&steps), &place, format!("has {steps} steps, not 2–3"));
            let lines = anchor.text.matches("---\n").count() + 1;
            problems.need(lines == steps, place, "a blank line goes before `---`");
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
        let page = Page::of(&chapter);
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
        // From chapter 6 on it is Linux that is shown, and other systems have their own answers.
        if chapter.number >= 6 && !cfg!(target_os = "linux") {
            continue;
        }
        let path = chapter.file("output.txt");
        // On a busy machine what happens may happen too late, and in another order: an example that
        // looks at the variable takes its time then.
        for scale in ["1", "1", "3", "10"] {
            let mut run = Command::new(example(&chapter));
            let run = run.env("UNDER_AWAIT_TIME_SCALE", scale).stdin(Stdio::null());
            let run = run.output().unwrap();
            let printed = String::from_utf8_lossy(&run.stdout).replace("\r\n", "\n");
            let place = format!("the example {}", chapter.folder);
            problems.need(run.status.success(), &place, format!("ends with {}", run.status));
            problems.need(run.stderr.is_empty(), &place, String::from_utf8_lossy(&run.stderr));
            problems.need(!printed.is_empty(), &place, "prints nothing");
            if timeless(&printed) == timeless(&read_if_there(&path).unwrap_or_default()) {
                break;
            } else if scale == "10" {
                compare(&mut problems, &path, &printed);
            }
        }
    }
    problems.report();
}

/// What an example prints with an argument, and in which file its chapter shows it.
#[cfg(target_os = "linux")]
const RUNS: &[(&str, &str, &str)] = &[
    ("09-timer", "rounding", "rounding.txt"),
    ("09-timer", "wheel", "wheel.txt"),
    ("15-serve", "bad-day", "bad-day.txt"),
    ("15-serve", "calls", "calls.txt"),
    ("16-pool", "busy", "busy.txt"),
    ("16-pool", "wakes", "wakes.txt"),
];

/// What a chapter shows of an example with an argument is what that prints, but for numbers after a
/// `~`: these are of one run.
#[test]
#[cfg(target_os = "linux")]
fn every_run_with_an_argument_is_what_the_example_prints() {
    let mut problems = Problems::default();
    for (folder, argument, file) in RUNS {
        let chapters = chapters();
        let chapter = chapters.iter().find(|chapter| chapter.folder == *folder).expect("a chapter");
        let run =
            Command::new(example(chapter)).arg(argument).stdin(Stdio::null()).output().unwrap();
        let printed = String::from_utf8_lossy(&run.stdout);
        problems.need(run.status.success(), folder, format!("ends with {}", run.status));
        compare(&mut problems, &chapter.file(file), &printed);
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
        let place = format!("the example {} with its output closed", chapter.folder);
        problems.need(run.status.success(), &place, format!("ends with {}", run.status));
        problems.need(run.stderr.is_empty(), &place, String::from_utf8_lossy(&run.stderr));
    }
    problems.report();
}

/// What waits in the reactor of layer 8 does so on both its backends. All of them run at the same time:
/// mostly they sleep.
#[test]
#[cfg(unix)]
fn every_example_from_the_reactor_on_runs_on_either_backend() {
    let mut problems = Problems::default();
    let chapters = chapters().into_iter().filter(|chapter| chapter.number >= 8);
    let pairs = chapters.flat_map(|chapter| {
        ["poll", "select"].map(|backend| {
            let mut run = Command::new(example(&chapter));
            let run = run.env("UNDER_AWAIT_REACTOR", backend).stdin(Stdio::null());
            let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            (format!("the example {} on {backend}", chapter.folder), run)
        })
    });
    for (place, run) in pairs.collect::<Vec<_>>() {
        let run = run.wait_with_output().unwrap();
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

/// Compares a generated file with what it should be now; writes it if it differs and that is wanted.
fn compare(problems: &mut Problems, path: &str, now: &str) {
    let committed = read_if_there(path).unwrap_or_default();
    let (old, new) = (timeless(&committed), timeless(now));
    if old == new {
        return;
    }
    if std::env::var_os("BLESS").is_some() && problems.concern(path) {
        return fs::write(absolute(path), now).unwrap();
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

// ── The tests themselves ─────────────────────────────────────────────────────────────────────

#[test]
fn a_number_after_a_tilde_may_vary_and_nothing_else() {
    let same = |a: &str, b: &str| timeless(a) == timeless(b);
    assert!(same("spinning   ~2,345,678 polls  ~99.8 ms", "spinning ~12 polls ~100.1 ms"));
    assert!(!same("parking  3 polls", "parking  4 polls"));
    assert!(!same("parking  3 polls", "parking ~3 polls"));
    assert!(!same("  parking", "parking"));
}

#[test]
fn a_long_trace_is_folded() {
    let entry = |event| Entry { at: Duration::ZERO, thread: 0, who: "it", event };
    let mut entries = [Event::Poll, Event::Pending].repeat(1000);
    entries.extend([Event::Poll, Event::Ready]);
    let entries = entries.into_iter().map(entry).collect::<Vec<_>>();
    let folded = table(&entries, 0);
    let rows = folded.lines().skip(2).collect::<Vec<_>>();
    assert_eq!(rows.len(), 5, "{folded}");
    assert_eq!(rows[2], "| … | | | 999 more like these two |");
    assert_eq!(rows[4], "| 2,002 | A | it | answers `Ready`: done |");
    assert!(table(&entries, 1_234_567).ends_with("| … | | | and ~1,234,567 lines more |\n"));
}

#[test]
fn headings_have_the_ids_that_mdbook_gives_them() {
    let text = "# 4 · Park: a `block_on` that sleeps\n## Twice\n## Twice\n```\n# no\n```\n## It's {#given}\n";
    let ids = Page::new("page.md", text.to_owned()).ids();
    let wanted = ["4--park-a-block_on-that-sleeps", "twice", "twice-1", "given"];
    assert_eq!(ids, wanted.map(str::to_owned).into());
}
