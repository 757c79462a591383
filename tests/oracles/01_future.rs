// Other people's right answers to the checks of this chapter.
// For the most part that is the compiler.

pub async fn add_two(a: impl Future<Output = u32>, b: impl Future<Output = u32>) -> u32 {
    a.await + b.await
}
pub mod extend {
    use futures::FutureExt;
    use under_await::yield_now;

    pub fn map<A: Future, T>(a: A, f: impl FnOnce(A::Output) -> T) -> impl Future<Output = T> {
        a.map(f)
    }
    pub fn then<A, B>(a: A, f: impl FnOnce(A::Output) -> B) -> impl Future<Output = B::Output>
    where
        A: Future,
        B: Future,
    {
        a.then(f)
    }
    pub async fn total(futures: impl Iterator<Item: Future<Output = u32>>) -> u32 {
        let mut sum = 0;
        for future in futures {
            sum += future.await;
        }
        sum
    }
    pub async fn checksum(bytes: Vec<u8>) -> u64 {
        let mut sum = 0;
        for (at, byte) in bytes.into_iter().enumerate() {
            if at > 0 && at % 1000 == 0 {
                yield_now().await;
            }
            sum += u64::from(byte);
        }
        sum
    }
}
