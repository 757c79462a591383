//! The exercises, proved: every check passes on the reference and on the outside oracle, fails on
//! the starter with the next TODO, and turns every classic mistake down with the right tag.

#![cfg(not(miri))] // Starts processes.
#![allow(clippy::deprecated_cfg_attr)] // See the starters that have macros.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use support::exam::{Check, LIMIT, Verdict};
use support::{scaled, story, verdicts};

#[allow(unused)]
mod support;

#[path = "../course/src/starter.rs"]
#[allow(dead_code)]
mod starter;

// They are generated, and formatted as they are.
#[rustfmt::skip]
#[path = "../chapters/01-future/starter.rs"]
mod starter_01;
#[rustfmt::skip]
#[path = "../chapters/02-block-on/starter.rs"]
mod starter_02;
#[rustfmt::skip]
#[path = "../chapters/03-waker/starter.rs"]
mod starter_03;
#[rustfmt::skip]
#[path = "../chapters/04-park/starter.rs"]
mod starter_04;
#[rustfmt::skip]
#[path = "../chapters/05-handoff/starter.rs"]
mod starter_05;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/06-io-models/starter.rs"]
mod starter_06;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/07-select/starter.rs"]
mod starter_07;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/08-poll/starter.rs"]
mod starter_08;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/09-timer/starter.rs"]
mod starter_09;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/10-net/starter.rs"]
mod starter_10;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/11-task/starter.rs"]
mod starter_11;

// `rustfmt::skip` by itself would count as a macro, of which exported macros must not come.
#[allow(clippy::deprecated_cfg_attr)]
#[cfg_attr(rustfmt, rustfmt::skip)]
#[path = "../chapters/12-join/starter.rs"]
mod starter_12;

#[cfg(unix)]
#[cfg_attr(rustfmt, rustfmt::skip)]
#[path = "../chapters/13-race/starter.rs"]
mod starter_13;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/14-sync/starter.rs"]
mod starter_14;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/16-pool/starter.rs"]
mod starter_16;

// As the starters' macros know them.
use starter_12 as ch12_join;
#[cfg(unix)]
use starter_13 as ch13_race;

/// A chapter's subjects of examination, each beside the suite that examines it: the reference, the
/// outside oracle, the starter and the classic mistakes.
macro_rules! chapter {
    (
        $chapter:ident, $folder:literal, $suite:literal, $layer:ident, $starter:ident,
        except { $($except:ident)* }
        mistakes { $($mistake:ident)* }
    ) => {
        #[allow(unused, unreachable_pub, unfulfilled_lint_expectations)]
        mod $chapter {
            /// The right answers.
            pub mod reference {
                pub mod subject {
                    pub use under_await::$layer::*;
                    pub mod extend { include!(chapter!(@ $folder "/extend.rs")); }
                }
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
            }
            /// Other people's right answers, and ours where they have none.
            pub mod oracle {
                pub mod subject {
                    pub use super::super::reference::subject::*;
                    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/", $suite, ".rs"));
                }
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
            }
            pub mod starter {
                use crate::$starter as subject;
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
            }
            /// Wrong answers: what a mistake defines hides what the reference defines. Clippy would
            /// be right about them, and take a minute for it.
            #[cfg(not(clippy))]
            pub mod mistakes {
                $( pub mod $mistake {
                    pub mod subject {
                        pub use super::super::super::reference::subject::*;
                        include!(chapter!(@ $folder "/mistakes/" $mistake ".rs"));
                    }
                    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
                } )*
            }
            pub const CHAPTER: $crate::Chapter = $crate::Chapter {
                folder: $folder,
                suite: $suite,
                layer: stringify!($layer),
                reference: reference::CHECKS,
                oracle: oracle::CHECKS,
                not_for_the_oracle: &[$(stringify!($except)),*],
                starter: starter::CHECKS,
                #[cfg(clippy)]
                mistakes: &[],
                #[cfg(not(clippy))]
                mistakes: &[ $( $crate::Mistake::new(
                    stringify!($mistake),
                    include_str!(chapter!(@ $folder "/mistakes/" $mistake ".rs")),
                    mistakes::$mistake::CHECKS,
                ) ),* ],
            };
        }
    };
    (@ $folder:literal $($part:tt)*) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/chapters/", $folder, $(chapter!(% $part)),*)
    };
    (% $part:literal) => { $part };
    (% $part:ident) => { stringify!($part) };
}

/// All that is examined of a chapter.
struct Chapter {
    /// Its folder in `chapters/`.
    folder: &'static str,
    /// The name of its suite, which the reader's file shares.
    suite: &'static str,
    /// The name of its layer.
    layer: &'static str,
    reference: &'static [Check],
    oracle: &'static [Check],
    /// The checks on which the oracle differs by design.
    not_for_the_oracle: &'static [&'static str],
    starter: &'static [Check],
    mistakes: &'static [Mistake],
}

/// A classic mistake, in its own file.
struct Mistake {
    file: &'static str,
    /// The tag that it gets.
    tag: &'static str,
    /// The check that turns it down.
    check: Check,
}

#[cfg_attr(clippy, allow(dead_code))]
impl Mistake {
    /// The first line of the file says `// [tag] check`. It is read by the compiler, which then
    /// leaves the other checks out of the program: there are thousands.
    const fn new(file: &'static str, source: &'static str, checks: &[Check]) -> Mistake {
        let (_, line) = split_once(source, b'[');
        let (tag, line) = split_once(line, b']');
        let (name, _) = split_once(line.split_at(1).1, b'\n');
        Mistake { file, tag, check: named(checks, name) }
    }
}

/// What stands before the first `mark`, and what comes after it.
const fn split_once(text: &str, mark: u8) -> (&str, &str) {
    let mut at = 0;
    while text.as_bytes()[at] != mark {
        at += 1;
    }
    (text.split_at(at).0, text.split_at(at + 1).1)
}

/// The check of this name.
const fn named(checks: &[Check], name: &str) -> Check {
    let mut n = 0;
    while !same(checks[n].name.as_bytes(), name.as_bytes()) {
        n += 1;
        assert!(n < checks.len(), "no check has the name in the first line of the mistake");
    }
    checks[n]
}

/// `==`, which the compiler itself cannot call yet.
const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, after_x @ ..], [y, after_y @ ..]) = (a, b)
        && *x == *y
    {
        (a, b) = (after_x, after_y);
    }
    a.is_empty() && b.is_empty()
}

chapter! {
    ch01, "01-future", "01_future", ch01_future, starter_01,
    except {}
    mistakes { no_wake answers_twice starts_over both_at_once eager hasty }
}

chapter! {
    ch02, "02-block-on", "02_block_on", ch02_block_on, starter_02,
    except { needs_no_wake }
    mistakes {
        parks_with_a_noop_waker moves_it_through_a_queue one_after_the_other
        polls_the_finished_one counts_one_too_few looks_then_keeps keeps_the_first_waker wakes_itself sets_and_wakes_nobody wakes_too_early
    }
}

chapter! {
    ch03, "03-waker", "03_waker", ch03_waker, starter_03,
    except {}
    mistakes {
        clone_copies_the_pointer a_table_for_every_clone wake_by_ref_gives_up_a_share
        wake_keeps_its_share drops_before_it_wakes dropping_sets_the_flag a_flag_in_an_arc
        still_in_a_hurry looks_afterwards looks_before frees_something_else looks_back borrowed_from_std
        leaves_without_a_word
    }
}

chapter! {
    ch04, "04-park", "04_park", ch04_park, starter_04,
    except { nested }
    mistakes {
        cleared_after_the_poll flag_without_unpark naps never_cleared no_flag parks_once tidied_away
        relaxed stores_and_forgets unparks_first sleeps_in_naps looks_and_then_clears looks_once notifies_first
    }
}

chapter! {
    ch05, "05-handoff", "05_handoff", ch05_handoff, starter_05,
    except { gives_no_second_answer }
    mistakes {
        keeps_an_old_waker drops_the_older_waker_in_place wakes_under_the_lock
        wakes_the_current_task goes_quietly if_let_holds_the_lock looks_first
        wakes_then_sets hasty_cell leaves_it_to_the_wake a_lock_for_each_step
        takes_then_sets panics_under_the_lock wakes_at_the_slot
    }
}

#[cfg(unix)]
chapter! {
    ch06, "06-io-models", "06_io_models", ch06_io_models, starter_06,
    except {}
    mistakes {
        asked_of_the_dead gives_up_at_a_signal each_by_itself only_the_new_flag rounded_down
        a_flag_and_no_byte done_when_sent one_read_for_a_signal asks_everybody
        reads_until_there_is_no_more nothing_is_the_end asks_and_does_not_listen does_not_carry crossed_out
        a_handler_that_talks silence_is_the_end goes_on_after_the_end looks_everywhere
        believes_old_marks errors_are_nothing_yet refused_is_no_flags in_floating_point a_handler_with_a_ledger
        a_handler_that_prints closes_what_it_borrows says_no_end a_reset_is_the_end reads_over_the_errors
    }
}

#[cfg(unix)]
chapter! {
    ch07, "07-select", "07_select", ch07_select, starter_07,
    except { other_errors_are_passed_on }
    mistakes {
        passes_over_it one_too_low interest_stays one_set_for_all the_end_stays gives_up_at_a_signal
        counts_to_the_last_one drops_while_it_borrows keeps_the_first_waker one_at_a_time
        either_will_do hears_readers_only wakes_while_it_borrows starts_over no_answer_is_no
        one_pipe_a_round a_signal_is_an_answer leaves_it_to_the_macro
    }
}

#[cfg(unix)]
chapter! {
    ch08, "08-poll", "08_poll", ch08_poll, starter_08,
    except {}
    mistakes {
        looks_before_it_parks one_place_for_both keeps_the_first_waker lets_go_of_nothing always_interested
        tells_nobody_who_moved asks_one_by_one sparing keys_never_grow_old only_what_was_asked
        sets_the_flag_only passes_over_the_pipe a_hang_up_is_for_readers
        keeps_every_slot a_token_is_no_wake still_said_to_sleep a_row_for_every_poll
    }
}

#[cfg(unix)]
chapter! {
    ch09, "09-timer", "09_timer", ch09_timer, starter_09,
    // The oracle has no map to count in, and wakes from threads; the ticker does not use it.
    except {
        pending_before_its_deadline polled_ten_thousand_times dropped_after_a_poll
        wakers_come_and_go_when_the_map_is_free asks_for_the_time_to_the_first_deadline
        one_wait_wakes_all_that_are_due one_look_at_the_clock
        in_the_order_of_deadlines timers_come_and_go_while_others_fire held_up
    }
    mistakes {
        a_thread_for_each an_entry_for_every_poll falls_behind first_come_first_kept no_number one_round_only
        rounded_down rounded_up_and_over stays_in_the_map strictly_later ticks
        drops_in_the_map counts_on_its_timers one_at_a_time too_busy_to_look in_whole_milliseconds
        turns_back
    }
}

#[cfg(unix)]
chapter! {
    ch10, "10-net", "10_net", ch10_net, starter_10,
    except {}
    mistakes {
        accepts_in_a_hurry accepts_stubbornly changes_it_each_time every_error_is_pending gives_up_at_the_first
        leaves_no_waker no_error_is_connected starts_from_the_front woken_is_connected
        waits_to_read asks_only_for_the_peer all_at_once copies_the_parts takes_nothing_for_full
        only_descriptors_are_short takes_it_as_it_comes connects_in_its_poll writes_as_to_a_file
        registers_first tries_twice without_a_peer_it_is_early sleeps_with_everybody
    }
}

#[cfg(unix)]
chapter! {
    ch13, "13-race", "13_race", ch13_race, starter_13,
    except { a_race_allocates_nothing }
    mistakes {
        keeps_the_loser asks_both asks_one_by_chance goes_on_after_the_winner asks_who_is_done
        always_from_the_front stays_when_it_has_gone counts_who_is_there
        looks_before_it_locks locks_for_each_step puts_nothing_back drops_it_in_the_map
        named_after_its_place
        asks_the_clock_first starts_the_clock_anew begins_anew sleeps_between_beats sleeps_after_each_beat
        beats_before_it_looks sees_no_loss reads_hastily forgets_at_an_error
    }
}

chapter! {
    ch14, "14-sync", "14_sync", ch14_sync, starter_14,
    // futures' mutex lets others overtake, and wakes under a lock; its channel has a room for each
    // sender, and allocates.
    except {
        called_in_the_order_of_arrival nobody_overtakes wakes_and_drops_wakers_unlocked
        goes_unlocked room_goes_to_who_waits a_closed_channel a_message_allocates_nothing
        the_room_stays_the_same wakes_senders_unlocked
    }
    mistakes {
        a_crowd_for_one_place a_oneshot_for_each a_ticket_for_good asks_when_it_is_polled
        believes_the_news closes_quietly forgets_the_notification leaves_hastily left_on_the_table
        looks_before_it_asks one_at_a_time room_only_when_it_is_full stays_in_the_queue
        the_end_comes_first wakes_the_next_in_any_case wakes_under_the_lock
        asks_and_then_goes asks_and_then_leaves called_and_crossed_out calls_the_first_again
        counts_before_it_waits finds_and_then_leaves looks_and_then_counts room_for_good
        waits_at_a_closed_door
    }
}

#[cfg(unix)]
chapter! {
    ch16, "16-pool", "16_pool", ch16_pool, starter_16,
    // The threads of the oracle have no runtime of the book's, where a task could spawn another.
    except { children_stay }
    mistakes {
        asks_once_more asks_too_late by_the_caller counts_good_ends counts_what_was_made
        cuts_at_once ends_at_once gives_way_with_a_job_in_hand hears_no_abort keeps_its_own
        looks_and_then_adds made_at_the_door one_by_one takes_hastily takes_the_answer_along
        tells_nobody waits_before_it_tells waits_for_itself waits_for_the_end without_a_limit
    }
}

#[cfg(unix)]
chapter! {
    ch11, "11-task", "11_task", ch11_task, starter_11,
    // The oracle's handle gives an error when it is polled again.
    except { gives_no_second_answer }
    mistakes {
        a_place_for_every_wake a_queue_with_an_end adopts_for_later adopts_under_a_borrow borrowed_while_it_polls
        deaf_while_it_polls keeps_it_with_the_wakers leaves_them_behind lets_others_in_for_good
        looks_and_leaves looks_and_then_stores never_tires one_generation polls_it_in_place
        polls_what_is_over stores_over_a_wake takes_everybody_along tired_for_good told_the_first
        nobody_by_that_number waits_for_all waits_for_the_dead stands_there_twice takes_it_and_leaves_nothing
    }
}

chapter! {
    ch12, "12-join", "12_join", ch12_join, starter_12,
    except {}
    mistakes {
        a_line_for_every_wake a_waker_for_every_poll as_they_come asks_everybody begins_at_the_front
        counts_the_done_twice forgets_while_it_polls hears_everybody_out keeps_who_is_done
        last_woken_first_polled leaves_with_the_list looks_when_it_has_nobody one_await_each polls_the_done
        polls_until_nobody_is_woken skips_who_came_before takes_what_is_there tells_before_it_writes
        tells_it_under_the_lock tells_the_first_parent tries_the_lock turns_them_round
        polls_on_after_the_error
    }
}

const CHAPTERS: &[Chapter] = &[
    ch01::CHAPTER,
    ch02::CHAPTER,
    ch03::CHAPTER,
    ch04::CHAPTER,
    ch05::CHAPTER,
    #[cfg(unix)]
    ch06::CHAPTER,
    #[cfg(unix)]
    ch07::CHAPTER,
    #[cfg(unix)]
    ch08::CHAPTER,
    #[cfg(unix)]
    ch09::CHAPTER,
    #[cfg(unix)]
    ch10::CHAPTER,
    #[cfg(unix)]
    ch11::CHAPTER,
    ch12::CHAPTER,
    #[cfg(unix)]
    ch13::CHAPTER,
    #[cfg(unix)]
    ch14::CHAPTER,
    #[cfg(unix)]
    ch16::CHAPTER,
];

#[test]
fn every_check_passes_on_the_reference() {
    let checks = CHAPTERS.iter().flat_map(|chapter| chapter.reference);
    all_pass("every_check_passes_on_the_reference", &keys(checks));
}

#[test]
fn every_check_passes_on_the_oracle() {
    let checks = CHAPTERS.iter().flat_map(|chapter| {
        let applies = |check: &&Check| !chapter.not_for_the_oracle.contains(&check.name);
        chapter.oracle.iter().filter(applies)
    });
    all_pass("every_check_passes_on_the_oracle", &keys(checks));
}

/// Each in a process of its own, where nothing else uses the processor it measures.
fn all_pass(test: &str, keys: &[(String, Check)]) {
    let failed =
        keys.iter().zip(verdicts(test, keys)).filter(|(_, verdict)| *verdict != Verdict::Pass);
    let failed =
        failed.map(|((key, _), verdict)| format!("{key}: {verdict:?}")).collect::<Vec<_>>();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The checks, each with a name that no other has.
fn keys(checks: impl Iterator<Item = &'static Check>) -> Vec<(String, Check)> {
    checks.map(|check| (format!("{}/{}", check.hole, check.name), *check)).collect()
}

/// Where readers begin, every check fails, and says which hole is next. A check may need holes
/// before its own, but none after it.
#[test]
fn every_check_fails_on_the_starter_with_the_next_todo() {
    let keys = keys(CHAPTERS.iter().flat_map(|chapter| chapter.starter));
    let verdicts = verdicts("every_check_fails_on_the_starter_with_the_next_todo", &keys);
    for ((key, check), verdict) in keys.iter().zip(verdicts) {
        let Verdict::Todo(next) = verdict else { panic!("{key} on the starter: {verdict:?}") };
        let number = next.split(':').next().unwrap();
        assert!(order(number) <= order(check.hole), "{key} needs a later hole: {next}");
    }
}

/// What a reader is told for each mistake stands beside it, for the chapter to quote:
/// `BLESS=1 cargo test --test exercises` writes it anew.
#[test]
fn every_mistake_is_turned_down_with_its_tag() {
    let (mut keys, mut told) = (Vec::new(), Vec::new());
    for (chapter, mistake) in mistakes() {
        let key = format!("{}/mistakes/{}", chapter.folder, mistake.file);
        told.push((mistake.tag, root().join("chapters").join(&key).with_extension("txt")));
        keys.push((key, mistake.check));
    }
    let name = "every_mistake_is_turned_down_with_its_tag";
    let mut told = keys.into_iter().zip(told).collect::<Vec<_>>();
    // What happens on a busy machine may happen in another order, and take more lines.
    for another in (0..5).rev() {
        let keys = told.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        let mut verdicts = verdicts(name, &keys).into_iter();
        told.retain(|((key, check), (expected, file))| {
            let verdict = verdicts.next().expect("one for each");
            let Verdict::Fail(tag, text) = &verdict else { panic!("{key}: {verdict:?}") };
            assert_eq!(tag, expected, "{key} was told: {text}");
            let wanted = as_told(check, tag, text);
            if another > 0 || std::env::var_os("BLESS").is_none() {
                let same = |told: String| timeless(&told) == timeless(&wanted);
                return !fs::read_to_string(file).is_ok_and(same);
            }
            fs::write(file, wrapped(&wanted)).unwrap();
            false
        });
    }
    let stale = told.iter().map(|(_, (_, file))| file).collect::<Vec<_>>();
    assert!(stale.is_empty(), "{stale:?} are stale: BLESS=1 cargo test --test exercises");
}

/// What a reader is told whose machine is not busy, wherever the project is.
fn as_told(check: &Check, tag: &str, text: &str) -> String {
    let limit = |limit: Duration| format!("after {} ms.", limit.as_millis());
    story::lesson(check, tag, text)
        .replace(&limit(scaled(LIMIT)), &limit(LIMIT))
        .replace(&format!("{}/", root().display()), "")
}

/// `text` with its long lines broken, so that all of it is seen on a page.
fn wrapped(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some((end, _)) = rest.char_indices().nth(92)
            && let Some(space) = rest[..end].rfind(' ')
            && !rest[..space].trim().is_empty()
        {
            lines.push(&rest[..space]);
            rest = &rest[space + 1..];
        }
        lines.push(rest);
    }
    lines.join("\n") + "\n"
}

/// What there are different numbers of from run to run.
const UNITS: [&str; 8] = ["ms", "polls", "wakes", "waits", "calls", "lines", "beats", "turns"];

/// `text` without what differs from run to run: the numbers before [`UNITS`], and how wide they are. One
/// poll is some polls.
fn timeless(text: &str) -> String {
    let mut words = text.split_whitespace().collect::<Vec<_>>();
    for at in 1..words.len() {
        let word = words[at].trim_end_matches(['.', ',', ';']);
        let is = |unit: &&&str| **unit == word || unit.strip_suffix('s') == Some(word);
        let number = words[at - 1].replace(',', "");
        if let Some(unit) = UNITS.iter().find(is)
            && number.parse::<u64>().is_ok()
        {
            (words[at - 1], words[at]) = ("N", unit);
        }
    }
    words.join(" ")
}

/// Every mistake, with its chapter.
fn mistakes() -> impl Iterator<Item = (&'static Chapter, &'static Mistake)> {
    let of =
        |chapter: &'static Chapter| chapter.mistakes.iter().map(move |mistake| (chapter, mistake));
    CHAPTERS.iter().flat_map(of)
}

#[test]
fn no_mistake_is_forgotten() {
    for chapter in CHAPTERS {
        let folder = root().join("chapters").join(chapter.folder).join("mistakes");
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files =
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
        let known = chapter.mistakes.iter().map(|mistake| mistake.file.to_owned());
        assert_eq!(names.collect::<BTreeSet<_>>(), known.collect(), "in {}", chapter.folder);
        assert!(chapter.mistakes.len() >= 2, "{} has fewer than two mistakes", chapter.folder);
    }
}

/// Wrong in ways that no classic mistake is: the tags that readers get for anything else.
#[allow(unreachable_pub, clippy::empty_loop)]
mod probes {
    use std::future::{pending, poll_fn, ready};
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::thread;

    use crate::support::{Event, checks, ledger, self_wakes};
    use under_await::ch04_park::block_on;
    use under_await::ledger::watch;

    checks! {
        /// A loop without an end, before the first poll.
        "never-returns" fn a_loop_without_an_end() {
            loop {}
        }

        /// A loop without an end, inside `poll`.
        "never-returns" fn a_loop_inside_poll() {
            block_on(watch("looping", poll_fn(|_| loop {})))
        }

        /// Asleep before the first poll.
        "never-polled" fn asleep_before_the_first_poll() {
            loop {
                thread::park();
            }
        }

        /// Asleep with a future that wants to be woken and is not.
        "never-woken" fn nobody_wakes() {
            block_on(watch("forgotten", pending()))
        }

        /// Asleep after a wake.
        "lost-wake" fn asleep_after_a_wake() {
            let _ = pin!(self_wakes(1)).poll(&mut Context::from_waker(Waker::noop()));
            loop {
                thread::park();
            }
        }

        /// Polled without end, and never woken.
        "busy-poll" fn polled_without_end() {
            let mut future = pin!(watch("spun", pending::<()>()));
            while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
        }

        /// Woken at every poll, without end, though nothing has come.
        "spins" fn woken_without_end() {
            block_on(watch("restless", poll_fn(|cx| {
                cx.waker().wake_by_ref();
                std::task::Poll::<()>::Pending
            })))
        }

        /// Ready, and asleep all the same.
        "stuck" fn asleep_after_ready() {
            block_on(watch("done", ready(())));
            loop {
                thread::park();
            }
        }

        /// A panic that nobody asked for.
        "panicked" fn a_panic() {
            panic!("out of the blue");
        }

        /// A panic on another thread, which the check's own thread would wait for without end.
        "panicked" fn a_panic_elsewhere() {
            thread::spawn(|| panic!("far away"));
            thread::park();
        }

        /// A process that dies.
        "crashed" fn an_abort() {
            ledger().record("nobody", Event::Note("about to abort"));
            std::process::abort();
        }
    }
}

/// What goes wrong in a way of its own gets a tag too, within the limit; and every tag there is can
/// be had, by a mistake or by a probe.
#[test]
fn every_tag_is_proved() {
    let keys = keys(probes::CHECKS.iter());
    let verdicts = verdicts("every_tag_is_proved", &keys);
    for ((key, check), verdict) in keys.iter().zip(&verdicts) {
        let Verdict::Fail(tag, text) = verdict else { panic!("{key}: {verdict:?}") };
        assert_eq!(tag, check.hole, "{key} was told: {text}");
    }
    let proved = probes::CHECKS.iter().map(|check| check.hole);
    let proved = proved.chain(mistakes().map(|(_, mistake)| mistake.tag));
    let proved = proved.chain(["todo"]).collect::<BTreeSet<_>>();
    let all = story::TAGS.iter().map(|(tag, _)| *tag).collect::<BTreeSet<_>>();
    assert_eq!(proved, all, "proved, and all there are");
}

/// Starters are generated: `BLESS=1 cargo test --test exercises` makes them anew.
#[test]
fn every_starter_is_made_from_its_reference() {
    for chapter in CHAPTERS {
        let folder = root().join("chapters").join(chapter.folder);
        let layer = format!("src/{}.rs", chapter.layer);
        let layer = starter::whole(&layer, |path| fs::read_to_string(root().join(path))).unwrap();
        let extend = read(folder.join("extend.rs"));
        let wanted = starter::starter(&layer, &extend, |_| true);
        let path = folder.join("starter.rs");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        assert_eq!(read(&path), wanted, "{} is stale: BLESS=1 cargo test", path.display());
    }
}

/// The holes of a chapter are numbered in order, and each is examined by a check of its own.
#[test]
fn every_hole_has_a_check() {
    for chapter in CHAPTERS {
        let holes = starter::open_holes(&read(
            root().join("chapters").join(chapter.folder).join("starter.rs"),
        ));
        let numbers = holes.iter().map(|hole| order(&hole.number)).collect::<Vec<_>>();
        let first = numbers[0].0;
        let wanted = (1..=holes.len()).map(|n| (first, n)).collect::<Vec<_>>();
        assert_eq!(numbers, wanted, "the holes of {}", chapter.folder);

        let checked = chapter.starter.iter().map(|check| order(check.hole)).collect::<Vec<_>>();
        assert!(
            checked.is_sorted(),
            "the checks of {} are not in the order of holes",
            chapter.suite
        );
        assert_eq!(BTreeSet::from_iter(checked), BTreeSet::from_iter(wanted), "{}", chapter.suite);
    }
}

/// `4.10` comes after `4.9`.
fn order(hole: &str) -> (usize, usize) {
    let (chapter, number) = hole.split_once('.').expect("a hole has two numbers");
    (chapter.parse().unwrap(), number.parse().unwrap())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
