// [wrong-result] all_pipes_to_their_ends
//
// Makes its set once. `select` leaves the ready ones in it, so a pipe that was quiet at the first
// call is never asked for again.

pub mod extend {
    pub use super::super::super::super::reference::subject::extend::*;

    pub use gather_in_one_set as gather;
}
