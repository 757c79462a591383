// [wrong-result] outputs_in_the_order_of_the_futures
//
// Collects the outputs as they come. Then nobody can say which output belongs to which future.

use super::super::super::reference::subject::extend::Unordered;

pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut set = Unordered::new();
    futures.into_iter().for_each(|future| set.push(future));
    let mut outputs = Vec::new();
    while let Some(output) = set.next().await {
        outputs.push(output);
    }
    outputs
}
