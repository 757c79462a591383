// Other people's right answers to the checks of this chapter. `nested` is not for them: futures'
// `block_on` refuses to run inside another.

pub use futures::executor::block_on;
