//! The rendered book: every link in it leads somewhere, and nothing was left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// mdBook renders a link to a page that is not there, and an include that it cannot resolve,
/// without a word. So the pages themselves are read.
#[test]
fn every_link_of_the_rendered_book_leads_somewhere() {
    let folder = tempfile::tempdir().unwrap();
    let pages = render(folder.path());
    let mut broken = Vec::new();
    for (page, html) in &pages {
        if html.contains("{{#") {
            broken.push(format!("{}: an include that was not resolved", page.display()));
        }
        for link in attributes(html, "href").chain(attributes(html, "src")) {
            if let Some(problem) = problem(page, link, &pages) {
                broken.push(format!("{}: `{link}` {problem}", page.display()));
            }
        }
    }
    assert!(pages.len() > 8, "only {} pages were rendered", pages.len());
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// An included block that came out empty: the anchor was wrong, and mdBook does not mind.
#[test]
fn no_listing_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    for (page, html) in render(folder.path()) {
        for listing in html.split("<code").skip(1) {
            let (_, rest) = listing.split_once('>').unwrap();
            let text = rest.split("</code>").next().unwrap();
            assert!(!text.trim().is_empty(), "{}: an empty listing", page.display());
        }
    }
}

/// What the book is made from is known to whoever builds it again: `SOURCES` in `src/book.rs`.
#[test]
fn the_book_includes_only_what_it_is_made_from() {
    let chapters = normal(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../chapters"));
    let made_from = [chapters.clone(), chapters.with_file_name("src")];
    let mut count = 0;
    for (page, text) in read(&chapters, "md") {
        for include in text.split("{{#include ").skip(1) {
            let path = include.split(['}', ':']).next().unwrap().trim();
            let path = normal(&page.parent().unwrap().join(path));
            let known = made_from.iter().any(|folder| path.starts_with(folder));
            assert!(known, "{} includes {}", page.display(), path.display());
            count += 1;
        }
    }
    assert!(count > 100, "only {count} includes were found");
}

/// Builds the book into `folder` and reads its pages.
fn render(folder: &Path) -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut book = mdbook_driver::MDBook::load(root).unwrap();
    book.config.build.build_dir = folder.to_owned();
    book.build().unwrap();
    read(folder, "html")
}

/// The files in `folder` whose names end so, and what is in them.
fn read(folder: &Path, extension: &str) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.insert(path.clone(), fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

/// What is wrong with `link` on `page`, if anything.
fn problem(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    let elsewhere = ["http://", "https://", "data:", "javascript:", "mailto:"];
    // The page for a lost reader has a `<base>` of its own.
    if elsewhere.iter().any(|start| link.starts_with(start)) || page.ends_with("404.html") {
        return None;
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap();
    let target = match path {
        "" => page.to_owned(),
        _ => normal(&page.parent().unwrap().join(path)),
    };
    if !target.exists() {
        return Some("is not there".to_owned());
    }
    let ids = || attributes(&pages[&target], "id").collect::<BTreeSet<_>>();
    let found = fragment.is_empty() || !pages.contains_key(&target) || ids().contains(fragment);
    (!found).then(|| format!("has no `{fragment}`"))
}

/// `path` without its `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(normal.pop()),
            part => normal.push(part),
        }
    }
    normal
}

/// The values of the attribute `name` in `html`.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let values = html.match_indices(&start).map(|(at, _)| &html[at + start.len()..]);
    let values = values.filter_map(|rest| rest.split('"').next()).collect::<Vec<_>>();
    values.into_iter()
}
