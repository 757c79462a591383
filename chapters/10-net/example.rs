fn main() {}
pub(crate) fn scene() {}
