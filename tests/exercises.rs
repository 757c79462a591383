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
#[path = "../chapters/15-serve/starter.rs"]
mod starter_15;

#[cfg(unix)]
#[rustfmt::skip]
#[path = "../chapters/16-pool/starter.rs"]
mod starter_16;

// As the starters' macros know them.
use starter_12 as ch12_join;
#[cfg(unix)]
use starter_13 as ch13_race;

/// A suite with one check: a mistake is turned down by one, and to compile all of them for each mistake takes
/// a minute. The dollar is for the macros that are made here.
#[cfg(not(any(clippy, without_mistakes)))]
macro_rules! one_check {
    ($d:tt $check:ident of $suite:literal) => {
        macro_rules! checks {
            ($d(
                #[doc = $d rule:literal]
                $d hole:literal $d(with $d($d with:literal)+)? fn $d name:ident() $d body:block
            )*) => {
                $d( only! {
                    $d name #[doc = $d rule] $d hole $d(with $d($d with)+)? fn $d name() $d body
                } )*
            };
        }
        macro_rules! only {
            ($check $d($d check:tt)+) => { $crate::support::checks! { $d($d check)+ } };
            ($d other:ident $d($d check:tt)+) => {};
        }
        include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/", $suite, ".rs"));
    };
}

/// A chapter's subjects of examination, each beside the suite that examines it: the reference, the
/// outside oracle, the starter and the classic mistakes.
macro_rules! chapter {
    (
        $dollar:tt $chapter:ident, $folder:literal, $suite:literal, $layer:ident, $starter:ident,
        except { $($except:ident)* }
        mistakes { $($mistake:ident => $check:ident),* $(,)? }
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
            /// be right about them, and take a minute for it; the oldest compiler learns nothing from them.
            #[cfg(not(any(clippy, without_mistakes)))]
            pub mod mistakes {
                $( pub mod $mistake {
                    pub mod subject {
                        pub use super::super::super::reference::subject::*;
                        include!(chapter!(@ $folder "/mistakes/" $mistake ".rs"));
                    }
                    one_check!($dollar $check of $suite);
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
                #[cfg(any(clippy, without_mistakes))]
                mistakes: &[],
                #[cfg(not(any(clippy, without_mistakes)))]
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

#[cfg_attr(any(clippy, without_mistakes), allow(dead_code))]
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
    $ ch01, "01-future", "01_future", ch01_future, starter_01,
    except {}
    mistakes {
        no_wake => a_wake_for_every_pending,
        answers_twice => lifts_off_once,
        starts_over => adds,
        both_at_once => one_after_the_other,
        eager => lazy,
        hasty => under_a_block_on_that_sleeps,
    }
}

chapter! {
    $ ch02, "02-block-on", "02_block_on", ch02_block_on, starter_02,
    except { needs_no_wake }
    mistakes {
        parks_with_a_noop_waker => polls_until_ready,
        moves_it_through_a_queue => polls_until_ready,
        one_after_the_other => neither_waits_for_the_other,
        polls_the_finished_one => both_outputs,
        counts_one_too_few => just_enough_polls,
        looks_then_keeps => set_during_the_poll,
        keeps_the_first_waker => wakes_the_waker_of_the_last_poll,
        wakes_itself => is_left_alone_until_set,
        sets_and_wakes_nobody => wakes_an_executor_that_sleeps,
        wakes_too_early => can_be_polled_during_the_wake,
    }
}

chapter! {
    $ ch03, "03-waker", "03_waker", ch03_waker, starter_03,
    except {}
    mistakes {
        clone_copies_the_pointer => clone_adds_an_owner,
        a_table_for_every_clone => clones_know_each_other,
        wake_by_ref_gives_up_a_share => wake_by_ref_keeps_its_owner,
        wake_keeps_its_share => wake_gives_up_its_owner,
        drops_before_it_wakes => the_last_one_frees,
        dropping_sets_the_flag => a_wake_sets_the_flag,
        a_flag_in_an_arc => a_flag_waker_allocates_nothing,
        still_in_a_hurry => the_mended_table_balances,
        looks_afterwards => one_of_two_owners_frees,
        looks_before => one_of_two_owners_frees,
        frees_something_else => frees_what_was_made,
        looks_back => the_last_tally_frees,
        borrowed_from_std => a_table_of_its_own,
        leaves_without_a_word => one_of_two_owners_frees,
    }
}

chapter! {
    $ ch04, "04-park", "04_park", ch04_park, starter_04,
    except { nested }
    mistakes {
        cleared_after_the_poll => a_wake_before_the_sleep,
        flag_without_unpark => woken_by_another_thread,
        naps => every_poll_uses_up_a_wake,
        never_cleared => every_poll_uses_up_a_wake,
        no_flag => the_future_parks_as_well,
        parks_once => no_order_returns_without_a_ring,
        tidied_away => no_order_hangs,
        relaxed => every_order_of_two_wakes,
        stores_and_forgets => every_order_of_two_wakes,
        unparks_first => every_order_of_two_wakes,
        sleeps_in_naps => every_order_of_two_wakes,
        looks_and_then_clears => every_order_of_two_wakes,
        looks_once => condvar_looks_again,
        notifies_first => condvar_in_every_order,
    }
}

chapter! {
    $ ch05, "05-handoff", "05_handoff", ch05_handoff, starter_05,
    except { gives_no_second_answer }
    mistakes {
        keeps_an_old_waker => wakes_the_newest_and_no_other,
        drops_the_older_waker_in_place => drops_the_older_waker_unlocked,
        wakes_under_the_lock => wakes_unlocked,
        wakes_the_current_task => each_with_a_waker_of_its_own,
        goes_quietly => a_sender_that_goes_away,
        if_let_holds_the_lock => a_cell_wakes_unlocked,
        looks_first => a_hangup_looks_when_it_has_kept,
        wakes_then_sets => a_hangup_in_every_order,
        hasty_cell => lockless_in_every_order,
        leaves_it_to_the_wake => lockless_in_every_order,
        a_lock_for_each_step => a_hand_off_in_every_order,
        takes_then_sets => a_hand_off_in_every_order,
        panics_under_the_lock => gives_no_second_answer,
        wakes_at_the_slot => lockless_wakes_outside,
    }
}

#[cfg(unix)]
chapter! {
    $ ch06, "06-io-models", "06_io_models", ch06_io_models, starter_06,
    except {}
    mistakes {
        asked_of_the_dead => an_end_is_taken_out,
        gives_up_at_a_signal => interrupted_by_a_signal,
        each_by_itself => in_the_order_of_arrival,
        only_the_new_flag => flags_are_added,
        rounded_down => never_too_short,
        a_flag_and_no_byte => a_signal_before_the_sleep,
        done_when_sent => all_of_it_comes_back,
        one_read_for_a_signal => many_writes_one_signal,
        asks_everybody => one_wait_and_one_read,
        reads_until_there_is_no_more => none_is_held_up,
        nothing_is_the_end => a_false_report_is_no_end,
        asks_and_does_not_listen => a_refusal_is_an_error,
        does_not_carry => a_million_is_a_second,
        crossed_out => flags_are_added,
        a_handler_that_talks => the_handler_allocates_nothing,
        silence_is_the_end => a_false_report_ends_no_conversation,
        goes_on_after_the_end => a_server_that_has_heard_enough,
        looks_everywhere => the_others_are_left_alone,
        believes_old_marks => a_signal_marks_nothing,
        errors_are_nothing_yet => an_error_ends_the_loop,
        refused_is_no_flags => a_refusal_is_an_error,
        in_floating_point => never_too_short,
        a_handler_with_a_ledger => the_handler_locks_nothing,
        a_handler_that_prints => the_handler_locks_nothing,
        closes_what_it_borrows => one_signal_after_the_other,
        says_no_end => all_of_it_comes_back,
        a_reset_is_the_end => a_broken_connection_is_an_error,
        reads_over_the_errors => an_error_of_a_pipe_is_passed_on,
        all_of_the_buffer => three_answers,
        flags_of_the_descriptor => flags_are_added,
        done_at_the_first_silence => an_answer_in_pieces,
        leaves_at_an_end => an_end_is_of_one_pipe,
    }
}

#[cfg(unix)]
chapter! {
    $ ch07, "07-select", "07_select", ch07_select, starter_07,
    except { other_errors_are_passed_on what_fails_is_passed_on }
    mistakes {
        passes_over_it => no_bit_is_an_error,
        one_too_low => the_kernel_leaves_the_ready_ones,
        interest_stays => an_unread_byte_ends_one_wait,
        one_set_for_all => all_pipes_to_their_ends,
        the_end_stays => all_pipes_to_their_ends,
        gives_up_at_a_signal => a_limit_and_signals,
        counts_to_the_last_one => the_kernel_leaves_the_ready_ones,
        drops_while_it_borrows => drops_the_older_waker_outside,
        keeps_the_first_waker => the_newest_waker_is_kept,
        one_at_a_time => one_sleep_for_all_that_is_ready,
        either_will_do => each_direction_by_itself,
        hears_readers_only => each_direction_by_itself,
        wakes_while_it_borrows => wakes_when_the_reactor_is_free,
        starts_over => signals_do_not_stretch_it,
        no_answer_is_no => other_errors_are_passed_on,
        one_pipe_a_round => no_pipe_is_held_up,
        a_signal_is_an_answer => a_signal_is_no_answer,
        leaves_it_to_the_macro => no_bit_is_an_error,
        waits_once_more => ready_when_its_waker_is_gone,
        does_not_look_without_time => a_look_without_time,
        an_error_is_the_end => what_fails_is_passed_on,
    }
}

#[cfg(unix)]
chapter! {
    $ ch08, "08-poll", "08_poll", ch08_poll, starter_08,
    except {}
    mistakes {
        looks_before_it_parks => a_wake_after_the_look_ends_the_sleep,
        one_place_for_both => two_wakers_for_one_descriptor,
        keeps_the_first_waker => the_newest_waker_wins,
        lets_go_of_nothing => a_number_given_away_again_wakes_nobody_who_had_it,
        always_interested => readiness_that_nobody_waits_for_ends_no_sleep,
        tells_nobody_who_moved => keys_find_their_values,
        asks_one_by_one => n_events_are_one_poll_and_no_other_call,
        sparing => no_order_hangs,
        keys_never_grow_old => an_old_key_finds_nothing,
        only_what_was_asked => a_hang_up_wakes_both,
        sets_the_flag_only => a_wake_after_the_look_ends_the_sleep,
        passes_over_the_pipe => a_wake_ends_one_sleep,
        a_hang_up_is_for_readers => errors_concern_both,
        keeps_every_slot => slots_are_used_again,
        a_token_is_no_wake => one_wake_ends_one_of_two_sleeps,
        still_said_to_sleep => who_is_awake_is_not_unparked,
        a_row_for_every_poll => one_row_however_often_it_is_polled,
    }
}

#[cfg(unix)]
chapter! {
    $ ch09, "09-timer", "09_timer", ch09_timer, starter_09,
    // The oracle has no map to count in, and wakes from threads; the ticker does not use it.
    except {
        pending_before_its_deadline polled_ten_thousand_times dropped_after_a_poll
        wakers_come_and_go_when_the_map_is_free asks_for_the_time_to_the_first_deadline
        one_wait_wakes_all_that_are_due one_look_at_the_clock
        in_the_order_of_deadlines timers_come_and_go_while_others_fire held_up
    }
    mistakes {
        a_thread_for_each => dropped_after_a_poll,
        an_entry_for_every_poll => polled_ten_thousand_times,
        falls_behind => a_little_late,
        first_come_first_kept => the_newest_waker,
        no_number => the_earliest_first,
        one_round_only => later_rounds_stay,
        rounded_down => rounds_up,
        rounded_up_and_over => very_long_timeouts,
        stays_in_the_map => dropped_after_a_poll,
        strictly_later => due_at_its_deadline,
        ticks => in_one_piece,
        drops_in_the_map => wakers_come_and_go_when_the_map_is_free,
        counts_on_its_timers => dropped_when_its_thread_ends,
        one_at_a_time => one_wait_wakes_all_that_are_due,
        too_busy_to_look => asks_for_the_time_to_the_first_deadline,
        in_whole_milliseconds => to_the_nanosecond,
        turns_back => what_is_past_is_past,
    }
}

#[cfg(unix)]
chapter! {
    $ ch10, "10-net", "10_net", ch10_net, starter_10,
    except {}
    mistakes {
        accepts_in_a_hurry => waits_for_a_free_descriptor,
        accepts_stubbornly => waits_for_a_free_descriptor,
        changes_it_each_time => tries_first,
        every_error_is_pending => an_error_is_an_answer,
        gives_up_at_the_first => the_first_that_answers,
        leaves_no_waker => leaves_its_waker,
        no_error_is_connected => asked_too_early,
        starts_from_the_front => writes_all_of_it,
        woken_is_connected => refused_is_an_error,
        waits_to_read => waits_in_its_direction,
        asks_only_for_the_peer => refused_is_an_error,
        all_at_once => the_first_that_answers,
        copies_the_parts => the_parts_are_offered_as_they_are,
        takes_nothing_for_full => nothing_is_not_full,
        only_descriptors_are_short => waits_for_whatever_is_short,
        takes_it_as_it_comes => a_silent_client_holds_up_nobody,
        connects_in_its_poll => others_go_on_meanwhile,
        writes_as_to_a_file => a_peer_that_is_gone_is_an_error,
        registers_first => tries_first,
        tries_twice => believes_no_wake,
        without_a_peer_it_is_early => what_cannot_be_asked_is_an_error,
        sleeps_with_everybody => others_have_their_turns,
        waits_for_either => waits_in_no_other_direction,
        closes_when_it_is_through => the_writer_stays_open,
        waits_for_a_full_writer => a_full_writer_is_an_error,
        waits_without_a_limit => the_first_that_answers,
        an_error_is_no_room => errors_are_no_end,
        sleeps_for_a_second => waits_for_a_free_descriptor,
        every_error_may_pass => other_errors_are_returned,
    }
}

#[cfg(unix)]
chapter! {
    $ ch13, "13-race", "13_race", ch13_race, starter_13,
    except { a_race_allocates_nothing }
    mistakes {
        keeps_the_loser => the_loser_is_dropped_first,
        asks_both => nobody_is_asked_after_the_winner,
        asks_one_by_chance => all_are_asked_from_start,
        goes_on_after_the_winner => the_round_ends_with_the_winner,
        asks_who_is_done => who_is_out_is_not_asked_again,
        always_from_the_front => chance_is_fair,
        stays_when_it_has_gone => who_is_dropped_leaves_nothing,
        counts_who_is_there => who_is_dropped_leaves_nothing,
        looks_before_it_locks => cancelled_during_the_poll,
        locks_for_each_step => cancelled_in_every_order,
        puts_nothing_back => keeps_the_newest_waker,
        drops_it_in_the_map => older_wakers_go_unlocked,
        named_after_its_place => one_entry_for_each,
        asks_the_clock_first => ready_at_the_last_moment,
        starts_the_clock_anew => the_limit_is_the_limit,
        begins_anew => the_work_is_begun_once,
        sleeps_between_beats => it_beats_at_once_and_in_its_time,
        sleeps_after_each_beat => beats_do_not_drift,
        beats_before_it_looks => a_slow_beat_starves_nobody,
        beats_for_nobody => no_beat_after_the_end_of_the_work,
        sees_no_loss => the_table_is_what_happens,
        reads_hastily => a_message_survives_a_drop,
        forgets_at_an_error => a_message_survives_an_error,
        forgets_at_the_end => a_message_survives_an_error,
        a_waker_for_nothing => older_wakers_go_unlocked,
    }
}

chapter! {
    $ ch14, "14-sync", "14_sync", ch14_sync, starter_14,
    // futures' mutex lets others overtake, and wakes under a lock; its channel has a room for each
    // sender, and allocates.
    except {
        called_in_the_order_of_arrival nobody_overtakes wakes_and_drops_wakers_unlocked
        goes_unlocked room_goes_to_who_waits a_closed_channel over_though_a_sender_was_called
        a_message_allocates_nothing the_room_stays_the_same wakes_senders_unlocked
    }
    mistakes {
        a_crowd_for_one_place => room_goes_to_who_waits,
        a_oneshot_for_each => who_was_called_passes_it_on,
        a_ticket_for_good => who_goes_on_leaves_nothing,
        asks_when_it_is_polled => all_are_notified_who_have_asked,
        believes_the_news => two_messages_in_every_order,
        closes_quietly => a_closed_semaphore,
        forgets_the_notification => one_notification_is_kept,
        leaves_hastily => a_wake_at_the_gate_is_passed_on,
        left_on_the_table => nobody_overtakes,
        looks_before_it_asks => a_broadcast_in_every_order,
        one_at_a_time => each_call_is_for_one,
        room_only_when_it_is_full => the_room_stays_the_same,
        stays_in_the_queue => who_goes_leaves_the_queue,
        the_end_comes_first => the_end_comes_last,
        wakes_the_next_in_any_case => a_wake_at_the_gate_is_passed_on,
        wakes_under_the_lock => wakes_and_drops_wakers_unlocked,
        asks_and_then_goes => dropped_in_every_order,
        asks_and_then_leaves => called_in_every_order,
        called_and_crossed_out => who_is_called_was_called,
        calls_the_first_again => the_list_calls_one_after_the_other,
        counts_before_it_waits => a_dropped_recv_takes_none,
        finds_and_then_leaves => dropped_at_the_gate_in_every_order,
        looks_and_then_counts => the_end_in_every_order,
        room_for_good => a_sink_waits_for_each_message,
        waits_at_a_closed_door => a_closed_channel,
        a_permit_in_advance => a_permit_is_passed_on,
        a_waker_for_nothing => wakes_and_drops_wakers_unlocked,
        asks_once => two_messages_in_every_order,
        called_and_turned_away => called_and_then_closed,
        says_where_it_goes_on => who_is_slow_is_told,
        waits_for_itself => one_notification_is_kept,
        waits_for_who_was_called => over_though_a_sender_was_called,
    }
}

#[cfg(unix)]
chapter! {
    $ ch16, "16-pool", "16_pool", ch16_pool, starter_16,
    // The threads of the oracle have no runtime of the book's, where a task could spawn another.
    except { children_stay }
    mistakes {
        asks_once_more => the_task_may_be_first,
        asks_too_late => nobody_sleeps_beside_a_job,
        by_the_caller => in_turn,
        counts_good_ends => every_end_counts,
        counts_what_was_made => every_end_counts,
        cuts_at_once => waits_for_the_last,
        ends_at_once => all_hear_the_end,
        gives_way_with_a_job_in_hand => takes_one_when_it_has_time,
        hears_no_abort => an_abort_is_heard,
        keeps_its_own => nobody_to_wait_for,
        looks_and_then_adds => two_at_once,
        made_at_the_door => one_panics_alone,
        one_by_one => side_by_side,
        takes_hastily => takes_one_when_it_has_time,
        takes_the_answer_along => an_abort_is_heard,
        tells_nobody => the_end_may_be_first,
        waits_before_it_tells => all_hear_the_end,
        waits_for_itself => the_threads_end,
        waits_for_the_end => the_task_may_be_first,
        without_a_limit => cuts_after_the_grace,
    }
}

#[cfg(unix)]
chapter! {
    $ ch11, "11-task", "11_task", ch11_task, starter_11,
    // The oracle's handle gives an error when it is polled again.
    except { gives_no_second_answer }
    mistakes {
        a_place_for_every_wake => many_wakes_are_one_poll,
        a_queue_with_an_end => many_wakes_are_one_poll,
        adopts_for_later => a_child_may_wait_for_one_that_it_adopts,
        adopts_under_a_borrow => a_child_may_adopt,
        borrowed_while_it_polls => a_task_may_spawn,
        deaf_while_it_polls => a_wake_during_the_poll,
        keeps_it_with_the_wakers => dropped_when_it_is_ready,
        leaves_them_behind => the_end_drops_the_rest,
        lets_others_in_for_good => asks_for_its_next_turn,
        looks_and_leaves => every_order_of_two_wakes,
        looks_and_then_stores => every_order_of_two_wakes,
        never_tires => starves_nobody,
        one_generation => five_generations,
        polls_it_in_place => each_in_its_turn,
        polls_what_is_over => not_after_its_end,
        stores_over_a_wake => every_order_of_two_wakes,
        takes_everybody_along => a_panic_stays_in_its_task,
        tired_for_good => each_time_the_whole_budget,
        told_the_first => wakes_the_newest,
        nobody_by_that_number => not_after_its_end,
        waits_for_all => the_end_drops_the_rest,
        waits_for_the_dead => a_panic_stays_in_its_task,
        stands_there_twice => woken_again_before_its_turn,
        takes_it_and_leaves_nothing => wakes_the_newest,
    }
}

chapter! {
    $ ch12, "12-join", "12_join", ch12_join, starter_12,
    except {}
    mistakes {
        a_line_for_every_wake => the_list_notes_each_once,
        a_waker_for_every_poll => no_waker_is_made_twice,
        as_they_come => outputs_in_the_order_of_the_futures,
        asks_everybody => only_the_woken_are_polled,
        begins_at_the_front => everybody_has_a_turn,
        counts_the_done_twice => a_wake_after_its_end_polls_nobody,
        forgets_while_it_polls => a_wake_during_the_poll_counts,
        hears_everybody_out => the_first_error_is_the_end,
        keeps_who_is_done => who_is_done_goes,
        last_woken_first_polled => several_at_once,
        leaves_with_the_list => several_at_once,
        looks_when_it_has_nobody => who_asked_last_is_woken,
        one_await_each => branches_take_turns,
        polls_the_done => keeps_its_output,
        polls_until_nobody_is_woken => a_poll_is_one_round,
        skips_who_came_before => the_turn_goes_round,
        takes_what_is_there => three_in_any_order,
        tells_before_it_writes => the_list_tells_the_parent_unlocked,
        tells_it_under_the_lock => the_list_tells_the_parent_unlocked,
        tells_the_first_parent => the_list_tells_the_parent,
        tries_the_lock => woken_during_a_look,
        turns_them_round => fair_outputs_are_in_order,
        polls_on_after_the_error => nobody_is_polled_after_the_error,
    }
}

#[cfg(unix)]
chapter! {
    $ ch15, "15-serve", "15_serve", ch15_serve, starter_15,
    except {}
    mistakes {
        a_limit_for_every_read => a_byte_now_and_then_is_too_slow,
        a_permit_for_an_error => too_many_open_files,
        a_permit_for_the_moment => a_client_waits_outside_until_there_is_room,
        accepts_before_there_is_room => a_client_waits_outside_until_there_is_room,
        answers_hastily => who_does_not_read_is_not_read,
        begins_at_the_front => it_goes_on_where_it_stopped,
        begins_with_each_piece => a_request_survives_every_cut,
        breaks_off_its_writing => who_does_not_read_is_not_read,
        counts_the_slow_one => who_has_no_room_is_let_go,
        cuts_at_once => who_is_there_is_heard_out,
        drops_what_has_no_room => who_does_not_read_is_not_read,
        ends_at_an_error => too_many_open_files,
        ends_before_it_has_looked => what_has_arrived_comes_before_the_end,
        given_back_at_a_good_end => one_that_goes_wrong_goes_alone,
        gives_way_with_its_hands_full => a_dropped_read_has_taken_nothing,
        half_an_end_is_an_error => a_request_survives_every_cut,
        is_not_told => who_waits_hears_of_the_end,
        keeps_every_handle => who_has_gone_leaves_nothing,
        keeps_it_in_its_future => a_dropped_read_line_has_lost_nothing,
        keeps_room_for_all_of_them => there_is_a_limit_to_everything,
        keeps_the_slow_one => who_has_no_room_is_let_go,
        leaves_the_door_open => nobody_comes_in_any_more,
        leaves_them_behind => after_the_grace_they_are_cut,
        looks_at_the_clock_first => who_has_spoken_is_not_silent,
        loses_what_came_after => a_line_survives_every_cut,
        measures_whole_lines => a_line_is_no_longer_than_that,
        one_after_the_other => a_silent_client_holds_up_nobody,
        one_request_for_each_piece => many_requests_in_one_piece,
        silence_is_good_bye => silence_has_a_limit,
        stops_at_the_first_full_one => who_has_no_room_is_let_go,
        tries_again_at_once => too_many_open_files,
        waits_for_a_word => silence_has_a_limit,
        waits_for_the_last => after_the_grace_they_are_cut,
        waits_without_a_word => who_is_there_is_heard_out,
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
    ch15::CHAPTER,
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
const UNITS: [&str; 9] =
    ["ms", "polls", "wakes", "waits", "calls", "lines", "beats", "turns", "attempts"];

/// `text` without what differs from run to run: the numbers before [`UNITS`], and how wide they are, and the
/// end of a long story. One poll is some polls.
fn timeless(text: &str) -> String {
    let lines = with_a_short_story(text);
    let mut words = lines.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>();
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

/// `text` without the lines of a long story that come after those with which it begins: they depend on
/// where a busy machine was at the time.
fn with_a_short_story(text: &str) -> Vec<&str> {
    let mut lines = text.lines().collect::<Vec<_>>();
    let Some(begins) = lines.iter().position(|line| *line == "What happened:") else {
        return lines;
    };
    let length = lines[begins..].iter().position(|line| line.is_empty());
    let ends = length.map_or(lines.len(), |length| begins + length);
    if let Some(dots) = lines[begins..ends].iter().position(|line| line.starts_with("  … ")) {
        let dots = lines[begins + dots];
        lines.splice(begins + 1 + story::FIRST..ends, [dots]);
    }
    lines
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
