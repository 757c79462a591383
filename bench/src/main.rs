//! The layers beside their peers, in one run: `cargo run --release -p bench`, or with words from a
//! title for those workloads alone.
//!
//! The workloads are those of the chapter "How fast is it?", which quotes this table.

mod block_on;
mod calls;
mod channels;
mod echo;
mod joins;
mod resident;
mod serve;
mod table;
mod tasks;
mod timers;

fn main() {
    calls::measure();
    block_on::measure();
    tasks::measure();
    joins::measure();
    timers::measure();
    channels::measure();
    resident::measure();
    echo::measure();
    serve::measure();
}
