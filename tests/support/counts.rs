//! Numbers with the word behind them.

use std::fmt::Display;

/// `1 poll`, `2 polls`.
pub fn many(n: impl Display, what: &str) -> String {
    let n = n.to_string();
    if n == "1" { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// `once`, `2 times`.
pub fn times(n: impl Display) -> String {
    let n = n.to_string();
    if n == "1" { "once".to_owned() } else { format!("{n} times") }
}
