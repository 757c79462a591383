//! Makes the file a reader starts from, out of the reference with its holes marked.
//!
//! A hole is what stands between two comments, which mdBook strips from its listings:
//!
//! ```text
//! // ANCHOR: todo_4_2 sleep until the flag is set, and clear it
//! while !self.woken.swap(false, Ordering::Acquire) { … }
//! // ANCHOR_END: todo_4_2
//! ```
//!
//! In the starter stands `todo!("4.2: sleep until the flag is set, and clear it")` instead.
//! Only std is used here: the tests of the package above include this file.

/// A hole: its number and what is to be done there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// `4.2` is the second of chapter 4.
    pub(crate) number: String,
    /// What the reader is to write there.
    pub(crate) text: String,
}

/// A layer, as one text: what its further files have stands where they are declared. `read` reads a
/// file; `path` is that of the first one, `src/ch14_sync.rs`.
pub(crate) fn whole<E>(path: &str, read: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let folder = path.trim_end_matches(".rs");
    let own = format!("use crate::{}::", folder.trim_start_matches("src/"));
    let mut whole = String::new();
    for line in read(path)?.split_inclusive('\n') {
        match line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(";\n")) {
            Some(part) => {
                let source = read(&format!("{folder}/{part}.rs"))?.replace(&own, "use super::");
                whole += &format!("pub mod {part} {{\n{}}}\n", indented(&source));
            }
            None => whole += line,
        }
    }
    Ok(whole)
}

/// The starter of a chapter, from its [`whole`] layer and its `extend.rs`. Holes for which `open` holds are
/// open; the others stay filled as the reference fills them.
pub(crate) fn starter(layer: &str, extend: &str, open: impl Fn(&str) -> bool) -> String {
    // What is forbidden at the root of a crate stays forbidden in `support`, which counts
    // allocations; what is denied can be allowed there.
    let layer = dug(layer, &open)
        .replace("use crate::", "use under_await::")
        .replace("#![forbid(unsafe_code)]", "#![deny(unsafe_code)]");
    // Where the checks play every order, they stop at the layer's locks too.
    let plays = extend.contains("crate::support::schedules::") || extend.contains(PLAYED);
    let layer = if plays { with_the_played_lock(&layer) } else { layer };
    let (doc, code) = split_doc(&layer);
    let extend = indented(&dug(extend, &open));
    let code = if extend.contains(PLAYED) { modelled(code) } else { code.to_owned() };
    let name = own_name(&layer)
        .map(|name| format!("\n/// As its macros know it.\nuse crate as {name};\n"));
    format!(
        "{doc}//!\n{TURN}\n#![allow(unused, missing_docs, unreachable_pub, unfulfilled_lint_expectations, clippy::all)]\n\
         {}{}\n/// What the chapter does not show.\npub mod extend {{\n{extend}}}\n",
        code.trim_start(),
        name.unwrap_or_default(),
    )
}

/// `layer` with the model's lock in the place of std's, by whatever name the layer imports it.
fn with_the_played_lock(layer: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("use std::sync::Mutex") {
        Some(rest) => {
            let indent = &line[..line.len() - line.trim_start().len()];
            let lock = "use crate::support::schedules::model::Mutex";
            format!("{indent}{PLAYED_LOCK}\n{indent}{lock}{rest}")
        }
        None => line.to_owned(),
    };
    layer.split_inclusive('\n').map(line).collect()
}

/// What a starter says of it.
const PLAYED_LOCK: &str = "// As std's. When the checks play every order, it stops before each \
    `lock`, to let the other side in.";

/// The name of a layer, if it has macros that use what else is in it: they write `$crate::` before it,
/// and a reader's file is a crate.
fn own_name(layer: &str) -> Option<&str> {
    let at = layer.find("$crate::ch")? + "$crate::".len();
    layer[at..].split("::").next()
}

/// The last paragraph of a starter's module doc.
const TURN: &str = "\
//! **Your turn.** Every `todo!` is a hole to fill, in the order of their numbers.
";

/// With this line in its `extend.rs`, a chapter's checks play the layer in every order of its steps.
const PLAYED: &str = "// The checks play the layer in every order.\n";

/// A layer with the model's atomics and parking in the place of std's. They do what std's do, and
/// stop at every step for whoever plays them.
fn modelled(layer: &str) -> String {
    let model = "use crate::support::schedules::model::";
    layer
        .replace("use std::sync::atomic::", model)
        .replace("use std::thread::", &format!("{model}thread::"))
}

/// What the reader's file ends with, after the starter: the checks of the chapter `slug`.
pub(crate) fn tail(slug: &str) -> String {
    let chapter = slug.split('-').next().expect("a slug starts with its number");
    let suite = slug.replace('-', "_");
    format!(
        "\n// ── The checks. Nothing to edit below this line. ──\n\n\
         #[allow(unsafe_code)]\n\
         mod support;\n\n\
         mod examine {{\n    \
             use crate as subject;\n    \
             include!(\"suites/{suite}.rs\");\n\n    \
             #[test]\n    \
             fn chapter_{chapter}() {{\n        \
                 crate::support::exam(\"examine::chapter_{chapter}\", CHECKS);\n    \
             }}\n\
         }}\n"
    )
}

/// The holes marked in `source`, in order.
pub(crate) fn holes(source: &str) -> Vec<Hole> {
    source.lines().filter_map(hole).collect()
}

/// The holes that a reader's file still has: what stands in its `todo!`s, unless commented out.
pub(crate) fn open_holes(file: &str) -> Vec<Hole> {
    let holes = file.match_indices("todo!(").filter_map(|(at, todo)| {
        if file[..at].lines().next_back().is_some_and(|line| line.contains("//")) {
            return None;
        }
        // rustfmt may have broken the line after the parenthesis.
        let text = file[at + todo.len()..].trim_start().strip_prefix('"')?;
        let (number, text) = text.split('"').next()?.split_once(": ")?;
        let is_number = number.chars().all(|c| c.is_ascii_digit() || c == '.');
        is_number.then(|| Hole { number: number.to_owned(), text: text.to_owned() })
    });
    holes.collect()
}

/// `source` with every `open` hole dug out, and without any mark.
fn dug(source: &str, open: &impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut digging = false;
    for line in source.lines() {
        if let Some(hole) = hole(line) {
            digging = open(&hole.number);
            if digging {
                let indent = &line[..line.len() - line.trim_start().len()];
                out += &format!("{indent}todo!(\"{}: {}\")\n", hole.number, hole.text);
            }
        } else if line.trim_start().starts_with("// ANCHOR_END: todo_") {
            digging = false;
        } else if !digging && !line.trim_start().starts_with("// ANCHOR") {
            out += line;
            out.push('\n');
        }
    }
    out
}

/// The hole that begins at this line, if one does.
fn hole(line: &str) -> Option<Hole> {
    let (number, text) = line.trim_start().strip_prefix("// ANCHOR: todo_")?.split_once(' ')?;
    Some(Hole { number: number.replace('_', "."), text: text.to_owned() })
}

/// The module doc at the head of `source`, and the rest.
fn split_doc(source: &str) -> (&str, &str) {
    let length = source.split_inclusive('\n').take_while(|line| line.starts_with("//!"));
    source.split_at(length.map(str::len).sum())
}

/// `source`, four spaces further to the right.
fn indented(source: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
    source.lines().map(line).collect()
}
