//! What there is to know about a picture without looking at it.

/// The values that `text` gives to an attribute, or to a property of a style.
pub(crate) fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
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

pub(crate) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    values(tag, name).first().copied()
}

/// The colours in a picture that do not follow the page's.
pub(crate) fn fixed_colours(svg: &str) -> Vec<&str> {
    let follows = |value: &&str| {
        ["none", "currentColor", "inherit", "transparent"].contains(value)
            || value.starts_with("url(#")
    };
    let properties = ["fill", "stroke", "color", "stop-color", "flood-color", "background"];
    let values = properties.iter().flat_map(|property| values(svg, property));
    values.filter(|value| !follows(value)).collect()
}
