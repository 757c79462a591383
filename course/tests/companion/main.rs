//! The companion at work, from end to end, each time in a checkout of its own.

mod bad_input;
mod exercises;
mod hints;
mod reading;
mod sandbox;
#[cfg(unix)]
mod serving;
mod watching;

#[path = "../../src/starter.rs"]
#[allow(dead_code)]
mod starter;
