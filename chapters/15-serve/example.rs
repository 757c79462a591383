//! smoke
use std::cell::RefCell;
use std::rc::Rc;
use under_await::ch15_serve::redis::{Db, talk};
use under_await::ch15_serve::{Limits, serve};
use under_await::net::TcpListener;
fn main() {
    let db = Rc::new(RefCell::new(Db::default()));
    under_await::block_on(async {
        let listener = TcpListener::bind(([127, 0, 0, 1], 6400)).unwrap();
        let _ = serve(
            listener,
            Limits::default(),
            move |c| talk(c, db.clone()),
            std::future::pending::<()>(),
        )
        .await;
    });
}
