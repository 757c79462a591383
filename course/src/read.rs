//! Opens the book in a browser, where there is one.

use std::env;

use crate::book;
use crate::chapters::Chapter;
use crate::checkout::Checkout;
use crate::failure::Result;
use crate::term::say;

/// `cargo course read`: opens the book, or a chapter of it, and says where that is.
pub(crate) fn command(checkout: &Checkout, chapter: Option<&Chapter>) -> Result<()> {
    let book = book::built(checkout)?;
    let page = chapter.map(|chapter| format!("{}/README.html", chapter.slug()));
    let address = book::address(&book, page.as_deref().unwrap_or("index.html"));
    say(&address)?;
    if !has_a_desktop() {
        say("There is no desktop here to open it on: open this address in a browser.")?;
    } else if let Err(error) = open::that_detached(&address) {
        say(format_args!("No browser came up ({error}): open this address in one."))?;
    }
    Ok(())
}

/// Whether there is anything to open a browser on.
fn has_a_desktop() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let needs_a_display = cfg!(all(unix, not(target_os = "macos")));
    !needs_a_display || set("DISPLAY") || set("WAYLAND_DISPLAY") || set("WSL_DISTRO_NAME")
}
