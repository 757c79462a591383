//! Where things are: the checkout, and the folder that cargo builds in.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The variable with which the tests send the companion to another checkout.
const ROOT: &str = "UNDER_AWAIT_ROOT";

/// A checkout of the repository.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    /// The folder with the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    pub(crate) target: PathBuf,
}

impl Checkout {
    /// The checkout that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
        let root = env::var_os(ROOT).map(PathBuf::from).or(built_from).unwrap_or_default();
        if !root.join("Cargo.toml").is_file() {
            return Err(Failure::unusable(format!(
                "The checkout is no longer at {}. Go to where it is now, and `cargo run` there.",
                root.display()
            )));
        }
        let target = target(&root);
        Ok(Checkout { root, target })
    }

    /// The text of a file; `path` begins at the root.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let text = fs::read_to_string(self.root.join(path));
        text.map(unix_lines).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::unusable(format!(
                "{path} is missing, so this is not a whole checkout: `git restore {path}` puts it \
                 back."
            )),
            _ => Failure::at("read", Path::new(path), &error),
        })
    }

    /// The text of a file that need not exist; `path` begins at the root.
    pub(crate) fn read_if_there(&self, path: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.root.join(path)) {
            Ok(text) => Ok(Some(unix_lines(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::at("read", Path::new(path), &error)),
        }
    }

    /// Writes a file; `path` begins at the root.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let written = fs::write(self.root.join(path), text);
        written.map_err(|error| Failure::at("write", Path::new(path), &error))
    }
}

/// Cargo's target folder: the one it is told of, or the one this program lies in.
fn target(root: &Path) -> PathBuf {
    if let Some(told) = env::var_os("CARGO_TARGET_DIR") {
        return std::path::absolute(&told).unwrap_or(told.into());
    }
    // Cargo tags the folder, so that backups skip it.
    let tagged = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    let exe = env::current_exe().unwrap_or_default();
    exe.ancestors().find(tagged).map_or_else(|| root.join("target"), Path::to_owned)
}

/// `text` with line feeds alone at its line ends, however git or an editor has written it.
fn unix_lines(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n") } else { text }
}
