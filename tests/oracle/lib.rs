//! Nothing here: see `tests/`. Each file there holds the runtimes in use to one kind of promise that the
//! book makes for its own: `suites.rs` by the checks of the exercises, the others by checks that are run
//! on our layers beside them. `models.rs` holds ours to what can be said in a few lines, and `redis.rs` to
//! the original of what layer 15 serves, and to its clients.
