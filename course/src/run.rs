//! Runs a chapter's example.

use std::ffi::OsString;
use std::process::Command;

use crate::cargo::{self, Built, Target};
use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::failure::{Failure, NOT_YET, Result};
use crate::term::{Busy, PATIENCE, say};

/// `cargo course run N`: what `cargo run --example NN-slug` does, and the example's exit code.
pub(crate) fn command(checkout: &Checkout, chapter: &Chapter, further: &[OsString]) -> Result<u8> {
    let busy = Busy::with("compiling", PATIENCE);
    let built = cargo::build(checkout, Target::Example(&chapter.slug()), &busy)?;
    drop(busy);
    let executable = match built {
        Built::Executable(executable) => executable,
        Built::Errors(errors) => {
            say(errors.text.trim_end())?;
            return Ok(NOT_YET);
        }
    };
    let status = Command::new(&executable).args(further).status().map_err(|error| {
        Failure::unusable(format!("{} cannot be run: {error}.", executable.display()))
    })?;
    let code = status.code().unwrap_or(NOT_YET.into());
    Ok(u8::try_from(code).unwrap_or(NOT_YET))
}
