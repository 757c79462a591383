//! Layer 13.
use std::cell::RefCell;
use std::future::{pending, ready};
use std::pin::pin;
use under_await::ch04_park::block_on;
use under_await::{select, yield_now};

#[test]
fn tried() {
    block_on(async {
        let v = RefCell::new(vec![1]);
        let mut v2 = vec![1];
        let x = select! { n = ready(1) => n + 1, Some(m) = pending() => m };
        assert_eq!(x, 2);
        let x = select! { biased; None::<u32> = ready(Some(String::from("x")).map(|s| s.len() as u32)) => 0, n = ready(v.borrow_mut()) => n.len(), else => 7 };
        assert_eq!(x, 1);
        let mut f = pin!(async {
            yield_now().await;
            5
        });
        let mut n = 0;
        let r = loop {
            select! {
                biased;
                x = &mut f => break x,
                () = ready(()) => { n += 1; v2.push(n); }
                _ = async { v2.push(3) }, if false => v2.clear(),
            }
        };
        assert_eq!(r, 5);
        let s = select! { mut s = ready(String::from("a")) => { s.push('b'); s } ref t = pending::<String>() => t.clone() };
        assert_eq!(s, "ab");
        let s = select! { Some(_) = ready(None::<u8>) => 1, else => 2 };
        assert_eq!(s, 2);
        let s = select! { &x = ready(&5) => x, 7 | 8 = ready(7) => 5 };
        assert_eq!(s, 5);
    });
    fn is_send<T: Send>(_: T) {}
    is_send(async {
        select! { _ = ready(1) => (), () = yield_now() => () }
    });
}
