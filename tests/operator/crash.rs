//! A kill before and after every write ends as if nothing had happened.

use std::sync::Arc;

use futures::StreamExt as _;
use testkit::{Action, Hook, Proxy};

use crate::{
    harness::{LEASE, Lab, Operator},
    story::{End, FAST, Script, Story, Told},
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    After,
}

/// Tells a story in which the operator is killed at the n-th write and started again; `None` is the reference run.
async fn run(story: Story, kill: Option<(usize, When)>) -> Told {
    story.tell(async |lab, proxy, script, _| killed(lab, proxy, kill, script).await).await
}

/// Runs the script with an operator that is killed on the way, and returns its successor.
async fn killed(lab: &Lab, proxy: &Proxy, kill: Option<(usize, When)>, mut script: Script<'_>) -> Operator {
    let kubeconfig = || lab.account.kubeconfig_at(proxy.url());
    // A successor waits until the lease of the one that was killed is over.
    let flags: Vec<&str> = LEASE.into_iter().chain(["--concurrency=1", FAST]).collect();
    let Some((nth, when)) = kill else {
        let operator = lab.launch(kubeconfig(), &flags).await;
        script.await;
        return operator;
    };
    let hook = Hook::new();
    let there = Arc::clone(&hook);
    proxy.on_write(move |call| match when {
        _ if call.nth != nth => Action::Pass,
        When::Before => Action::HoldBefore(Arc::clone(&there)),
        When::After => Action::HoldAfter(Arc::clone(&there)),
    });
    let operator = lab.launch(kubeconfig(), &flags).await;
    tokio::select! {
        _ = hook.reached() => {
            operator.process.kill();
            hook.discard();
            let successor = lab.launch(kubeconfig(), &flags).await;
            script.await;
            successor
        }
        // Statuses on the way may be fewer than in the reference run: then there is no such write.
        () = script.as_mut() => operator,
    }
}

#[tokio::test]
async fn a_kill_before_or_after_every_write_ends_the_same() {
    everywhere(Story::Rotation).await;
}

#[tokio::test]
async fn so_it_is_while_a_variable_is_adopted_and_put_back() {
    everywhere(Story::AdoptAndRelease).await;
}

#[tokio::test]
async fn so_it_is_while_old_secrets_are_cleared_away() {
    everywhere(Story::CleanUp).await;
}

#[tokio::test]
async fn so_it_is_while_the_delivery_is_switched_there_and_back() {
    everywhere(Story::ModeSwitch).await;
}

#[tokio::test]
async fn so_it_is_while_variables_move_to_another_deployment() {
    everywhere(Story::TargetSwitch).await;
}

async fn everywhere(story: Story) {
    let Told { end: reference, writes } = run(story, None).await;
    let names: Vec<String> = writes
        .iter()
        .map(|call| format!("{} {}/{} {}", call.verb, call.resource, call.subresource, call.name))
        .collect();
    println!("{story:?}: the reference run sent {} writes: {}", names.len(), names.join(", "));
    assert_eq!(reference.replica_sets(), story.replica_sets(), "{reference:#?}");
    let kills: Vec<(usize, When)> =
        (1..=writes.len()).flat_map(|nth| [(nth, When::Before), (nth, When::After)]).collect();
    let ends = futures::stream::iter(kills.clone())
        .map(|kill| async move { (kill, run(story, Some(kill)).await.end) })
        .buffer_unordered(4);
    let ends: Vec<_> = ends.collect().await;
    let told = |(kill, end): &(_, End)| (*end != reference).then(|| (*kill, end.differences(&reference)));
    let others: Vec<_> = ends.iter().filter_map(told).collect();
    assert!(others.is_empty(), "{story:?} killed in the middle of {names:?} ended otherwise: {others:#?}");
    println!("{story:?}: {} kills ended as the reference run", kills.len());
}
