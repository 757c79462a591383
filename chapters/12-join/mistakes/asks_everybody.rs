// [busy-poll] only_the_woken_are_polled
//
// Right in every answer. Each poll goes to all children that are not done, though only one of them was woken:
// for n that are done one at a time, that makes n * (n + 3) / 2 polls.

pub use under_await::ch12_join::join_all_naive as join_all;
