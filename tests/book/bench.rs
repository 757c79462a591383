//! The table of "How fast is it?", made of what the bench printed.

use super::tree::{chapters, read};

/// One workload of the run: its title, with its layers, and what each peer needed.
struct Workload<'a> {
    title: &'a str,
    unit: &'a str,
    /// The name of a peer, what it needed, and how much of that ours is. The first is ours.
    peers: Vec<(&'a str, f64, &'a str)>,
}

/// The lines of the table, without its head.
pub(crate) fn table() -> String {
    let run = read("chapters/how-fast.txt");
    let workloads = run.trim().split("\n\n").map(workload);
    workloads.map(|workload| row(&workload)).collect()
}

/// Reads a workload: its head, and a line for each peer.
fn workload(text: &str) -> Workload<'_> {
    let mut lines = text.lines();
    let head = lines.next().expect("a workload has a head");
    let (head, _) = head.rsplit_once(", median of ").expect("it says how many rounds there were");
    let (title, unit) = head.split_once("), ").expect("it says its layers and its unit");
    let peers = lines.map(|line| {
        let (name, rest) = line[2..].split_at(28);
        let (value, ratio) = rest.split_once("ours is").expect("a peer has a ratio");
        let value = value.trim().parse().expect("a number");
        (name.trim(), value, ratio.trim().trim_end_matches(" of it"))
    });
    Workload { title, unit, peers: peers.collect() }
}

/// A workload as a line of the table: ours, and its ratio to the first peer of each family.
fn row(workload: &Workload<'_>) -> String {
    let (title, layers) = workload.title.split_once(" (layer").expect("it says its layers");
    let layers = layers.trim_start_matches('s').trim().split(" and ").map(link);
    let ratio = |families: &[&str]| {
        let of_them = |name: &str| families.contains(&name.split([',', ':']).next().unwrap());
        let peer = workload.peers.iter().find(|(name, ..)| of_them(name));
        peer.map_or("–", |(_, _, ratio)| ratio)
    };
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        title.split(' ').map(grouped).collect::<Vec<_>>().join(" "),
        layers.collect::<Vec<_>>().join(", "),
        amount(workload.peers[0].1, workload.unit),
        ratio(&["tokio"]),
        ratio(&["futures"]),
        ratio(&["smol", "futures-lite", "async-channel"]),
    )
}

/// The chapter of the layer with this number.
fn link(number: &str) -> String {
    let found = chapters().into_iter().find(|chapter| chapter.number.to_string() == number);
    let folder = found.expect("a layer has a chapter").folder;
    format!("[{number}]({folder}/README.md)")
}

/// `100000` as `100,000`.
fn grouped(word: &str) -> String {
    match word.len() {
        4.. if word.bytes().all(|byte| byte.is_ascii_digit()) => {
            let (thousands, rest) = word.split_at(word.len() - 3);
            format!("{thousands},{rest}")
        }
        _ => word.to_owned(),
    }
}

/// Three figures, more or less, on one line with their unit.
fn amount(value: f64, unit: &str) -> String {
    match value {
        _ if unit.starts_with("bytes") => format!("{value:.0}\u{a0}B"),
        1000.0.. => format!("{:.2}\u{a0}µs", value / 1000.0),
        100.0.. => format!("{value:.0}\u{a0}ns"),
        _ => format!("{value:.1}\u{a0}ns"),
    }
}
