//! Waiting for something with a deadline, and saying what was last seen when it did not come.

use std::fmt::{Debug, Display};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::wait::await_condition;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What one look says: a value when it is there, else what was seen instead.
pub trait Attempt {
    /// What is waited for.
    type Value;
    /// The value, or what was seen instead.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl<T> Attempt for Option<T> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

impl Attempt for bool {
    type Value = ();
    fn outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

/// Looks again and again until the value is there: `Some`, `Ok` or `true`.
///
/// # Panics
/// At the deadline, with what the last look saw. A look that hangs is given up then too.
pub async fn eventually<A: Attempt>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> A) -> A::Value {
    let end = Instant::now() + deadline;
    let mut seen = "no look has come to an end".to_owned();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, look()).await.map(Attempt::outcome) {
            Ok(Ok(value)) => return value,
            Ok(Err(other)) => seen = other,
            Err(_) => {}
        }
        // Asked here too: a look that never waits is never timed out.
        let over = Instant::now() >= end;
        assert!(!over, "{what}: not within {deadline:?}; last seen: {seen}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Watches an object until the predicate holds and returns it as it was then.
///
/// # Panics
/// At the deadline, with the object as it was last seen.
pub async fn wait_for<K>(api: Api<K>, name: &str, accept: impl Fn(&K) -> bool + Send + Sync, deadline: Duration) -> K
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
{
    condition(api, name, |object| object.is_some_and(&accept), deadline).await.expect("the predicate saw an object")
}

/// Watches an object until it is gone.
///
/// # Panics
/// At the deadline, with the object as it was last seen.
pub async fn wait_gone<K>(api: Api<K>, name: &str, deadline: Duration)
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
{
    condition(api, name, |object| object.is_none(), deadline).await;
}

async fn condition<K>(
    api: Api<K>,
    name: &str,
    accept: impl Fn(Option<&K>) -> bool + Send + Sync,
    deadline: Duration,
) -> Option<K>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned + Send + 'static,
{
    let seen = Mutex::new("nothing yet".to_owned());
    let see = |text: String| *seen.lock().unwrap_or_else(PoisonError::into_inner) = text;
    let watching = async {
        loop {
            let condition = |object: Option<&K>| {
                see(object.map_or("no such object".to_owned(), |object| {
                    serde_json::to_string_pretty(object).unwrap_or_else(|error| error.to_string())
                }));
                accept(object)
            };
            match await_condition(api.clone(), name, condition).await {
                Ok(object) => return object,
                // The API server may be away for a while; the deadline decides.
                Err(error) => see(error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(deadline, watching).await {
        Ok(object) => object,
        Err(_) => panic!(
            "{name} did not come to the state waited for within {deadline:?}; last seen: {}",
            seen.lock().unwrap_or_else(PoisonError::into_inner)
        ),
    }
}

/// Whether a Deployment's newest template runs and is ready in all its replicas, with none left of
/// an older one: what `kubectl rollout status` calls rolled out.
pub fn rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation >= deployment.metadata.generation
            && status.updated_replicas.unwrap_or(0) == wanted
            && status.replicas.unwrap_or(0) == wanted
            && status.available_replicas.unwrap_or(0) == wanted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_looks_until_the_value_is_there() {
        let mut looks = 0;
        let value = eventually("three looks", Duration::from_secs(10), async || {
            looks += 1;
            (looks == 3).then_some("there")
        });
        assert_eq!(value.await, "there");
    }

    #[tokio::test]
    #[should_panic(expected = "the end: not within 120ms; last seen: still going")]
    async fn it_says_what_it_saw_last() {
        let look = async || Err::<(), _>("still going");
        eventually("the end", Duration::from_millis(120), look).await;
    }
}
