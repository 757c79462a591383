//! The companion of the book: `cargo run`, and `cargo course` for more.
//!
//! It reads the book, runs its examples and checks the reader's exercises. Plain cargo can do all
//! of that too; this makes it pleasant.

#![forbid(unsafe_code)]

mod book;
mod cargo;
mod chapters;
mod check;
mod checkout;
#[cfg(unix)]
mod connections;
mod diff;
mod failure;
mod files;
mod hint;
mod list;
mod memory;
mod progress;
mod read;
mod report;
mod run;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod site;
mod starter;
mod term;
mod watch;

use std::ffi::OsString;
use std::panic;
use std::process::{self, ExitCode};

use clap::{Parser, Subcommand};

use chapters::Chapter;
use checkout::Checkout;
use failure::{Result, UNUSABLE};

fn main() -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        term::note(format!("The companion itself has {panic}\nPlease report this."));
        process::exit(UNUSABLE.into());
    }));
    match follow(Arguments::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}

/// The companion of the book Under .await.
#[derive(Debug, Parser)]
#[command(name = "cargo course", bin_name = "cargo course", disable_help_subcommand = true)]
#[command(after_help = AFTERWORD)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Order>,
}

/// What stands below the list of commands.
const AFTERWORD: &str = "\
Without a command: where the book is, its chapters, and what to do next. On a
terminal, the book is served meanwhile.

A chapter is named by its number or its name: 4, 04, park and 04-park are the same.
Left out, it is the one you are at.

Exit codes: 0 it passes, 1 not yet, 2 the command cannot be carried out.";

/// What the reader wants.
#[derive(Debug, Subcommand)]
enum Order {
    /// Open the book, or a chapter of it, in a browser.
    Read {
        /// The chapter; without it, the contents.
        chapter: Option<String>,
    },
    /// Serve the book to a browser on this machine, until Ctrl-C.
    #[cfg(unix)]
    Serve {
        /// At this port; 0 is any that is free.
        #[arg(long)]
        port: Option<u16>,
    },
    /// Run a chapter's example.
    Run {
        /// The chapter.
        chapter: Option<String>,
        /// What the example is to be given.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Check your version of a chapter; the first time, make the file to write it in.
    Check {
        /// The chapter.
        chapter: Option<String>,
    },
    /// Check whenever you save.
    Watch {
        /// The chapter to begin with.
        chapter: Option<String>,
    },
    /// Give a hint for the hole you are at, one more each time.
    Hint {
        /// The chapter, or a hole: 4.2.
        chapter: Option<String>,
    },
    /// Show your version of a chapter beside the reference, once it passes.
    Diff {
        /// The chapter; without it, the one whose file was saved last.
        chapter: Option<String>,
        /// Although it does not pass yet.
        #[arg(long)]
        anyway: bool,
    },
    /// Begin a chapter's exercises anew; your version is kept.
    Reset {
        /// The chapter.
        chapter: String,
    },
}

/// Does what the reader wants, and returns the exit code.
fn follow(order: Option<Order>) -> Result<u8> {
    let checkout = &Checkout::find()?;
    let chapters = &Chapter::all(checkout)?;
    let chapter = |name: Option<String>| match name {
        Some(name) => chapters::named(chapters, &name),
        None => Ok(progress::current(checkout, chapters)),
    };
    match order {
        None => list::command(checkout, chapters)?,
        Some(Order::Read { chapter: None }) => read::command(checkout, None)?,
        Some(Order::Read { chapter: name }) => read::command(checkout, Some(chapter(name)?))?,
        #[cfg(unix)]
        Some(Order::Serve { port }) => serve::command(checkout, port)?,
        Some(Order::Run { chapter: name, arguments }) => {
            return run::command(checkout, chapter(name)?, &arguments);
        }
        Some(Order::Check { chapter: name }) => {
            return check::command(checkout, chapters, chapter(name)?);
        }
        Some(Order::Watch { chapter: name }) => watch::command(checkout, chapters, chapter(name)?)?,
        Some(Order::Hint { chapter: Some(hole) }) if hole.contains('.') => {
            hint::for_hole(checkout, chapters, &hole)?;
        }
        Some(Order::Hint { chapter: name }) => hint::command(checkout, chapter(name)?)?,
        Some(Order::Diff { chapter: None, anyway }) => {
            diff::command(checkout, progress::latest(checkout, chapters), anyway)?;
        }
        Some(Order::Diff { chapter: name, anyway }) => {
            diff::command(checkout, chapter(name)?, anyway)?;
        }
        Some(Order::Reset { chapter: name }) => files::reset(checkout, chapter(Some(name))?)?,
    }
    Ok(0)
}
