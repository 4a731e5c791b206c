//! A wrong rotation, a kill, a change of leaders, an outage of who is asked, and his having too much to do: whatever comes
//! in whatever order, what is known to be wrong is never delivered, and what is right is, in one rollout.
//!
//! Where the wrong secret was found out before nobody answers any more, that lasts longer than the grace: what is known
//! then is written in status alone. Where nobody answers before, it is over within the grace, as what nobody could
//! find out by then is delivered on purpose.

use std::time::Duration;

use serde_json::Value;
use testkit::{ServiceAccount, Signal, Writes as _, eventually};

use crate::{
    fixtures::{PLATFORM, SSO, entra, text},
    harness::{LEASE, Lab, Operator, SOON, condition},
    leader::leads,
    provider::Provider,
};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    WrongRotation,
    Kill,
    LeaderChange,
    Outage,
    TooManyRequests,
}

const ACTS: [Act; 5] = [Act::WrongRotation, Act::Kill, Act::LeaderChange, Act::Outage, Act::TooManyRequests];

/// Every order of three that begins with this one.
fn orders(first: Act) -> Vec<[Act; 3]> {
    let pairs = ACTS.into_iter().flat_map(|second| ACTS.map(|third| [first, second, third]));
    pairs.filter(|[a, b, c]| a != b && b != c && a != c).collect()
}

/// Whether the wrong secret is found out before somebody asked answers no more.
fn is_found_out_first(order: &[Act]) -> bool {
    let is_trouble = |act: &Act| matches!(act, Act::Outage | Act::TooManyRequests);
    let wrong = order.iter().position(|act| *act == Act::WrongRotation);
    let trouble = order.iter().position(is_trouble);
    wrong.zip(trouble).is_some_and(|(wrong, trouble)| wrong < trouble)
}

/// A grace that is over soon, and more than that.
const SHORT: &str = "--unknown-grace=1s";
const LONGER: Duration = Duration::from_secs(3);

/// An AzureSso, who is asked about it, and two replicas.
struct Stage {
    /// Flags of the replicas beside the usual ones.
    more: &'static [&'static str],
    lab: Lab,
    provider: Provider,
    accounts: [ServiceAccount; 2],
    /// The first leads.
    replicas: [Operator; 2],
}

impl Stage {
    async fn new(prefix: &str, more: &'static [&'static str]) -> Self {
        let provider = Provider::new("right 0");
        let lab = provider.lab(prefix, "right 0").await;
        let other = lab.another_account("other").await;
        lab.grant_own(&other).await;
        let accounts = [lab.account.clone(), other];
        let leader = start(&lab, &provider, &accounts[0], more).await;
        leads(&leader).await;
        let standby = start(&lab, &provider, &accounts[1], more).await;
        lab.wait_condition(SSO, "Verified", "True", "Verified").await;
        lab.wait_condition(SSO, "RolledOut", "True", "RolledOut").await;
        Self { more, lab, provider, accounts, replicas: [leader, standby] }
    }

    /// The other replica leads, and the one that has ended starts anew to stand by.
    async fn hand_over(&mut self, signal: Signal) {
        self.replicas[0].process.stop(signal, Duration::from_secs(20)).await;
        self.replicas.swap(0, 1);
        self.accounts.swap(0, 1);
        leads(&self.replicas[0]).await;
        self.replicas[1] = start(&self.lab, &self.provider, &self.accounts[1], self.more).await;
    }

    async fn play(&mut self, act: Act, wrong: &str) {
        match act {
            Act::WrongRotation => self.lab.apply(&entra(wrong)).await,
            Act::Kill => self.hand_over(Signal::KILL).await,
            Act::LeaderChange => self.hand_over(Signal::TERM).await,
            Act::Outage => self.provider.down(true),
            Act::TooManyRequests => self.provider.busy(2),
        }
    }

    /// How many rollouts there have been, and whether any Secret of ours has such a value.
    async fn state(&self) -> (i64, Vec<String>) {
        let generation = self.lab.get(PLATFORM).await["metadata"]["generation"].as_i64().expect("a generation");
        let secrets = self.lab.list("secret").await;
        let ours = secrets.iter().filter(|secret| {
            let name = secret["metadata"]["name"].as_str().expect("a name");
            name.starts_with("timbr-platform-identity-")
        });
        (generation, ours.map(|secret| text(&secret["data"]["OAUTH_SECRET"])).collect())
    }

    async fn is_told(&self, verified: &str, delivered: &str) {
        eventually(&format!("{verified}, {delivered}"), SOON, async || {
            let sso = self.lab.get(SSO).await;
            let said = |type_: &str| {
                let condition: Value = condition(&sso, type_);
                format!("{}/{}", text_of(&condition["status"]), text_of(&condition["reason"]))
            };
            let is =
                said("Verified") == verified && said("Delivered") == delivered && said("RolledOut") == "True/RolledOut";
            if is { Ok(()) } else { Err(sso["status"].to_string()) }
        })
        .await;
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

async fn start(lab: &Lab, provider: &Provider, account: &ServiceAccount, more: &[&str]) -> Operator {
    let flags = provider.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(LEASE).chain(more.iter().copied()).collect();
    lab.start_with(account.kubeconfig.clone(), &flags).await
}

async fn no_order_delivers_what_is_wrong(prefix: &str, first: Act) {
    let (found, other): (Vec<_>, Vec<_>) = orders(first).into_iter().partition(|order| is_found_out_first(order));
    futures::join!(play(prefix, &found, true), play(prefix, &other, false));
}

/// Plays orders one after another.
async fn play(prefix: &str, orders: &[[Act; 3]], found_out: bool) {
    if orders.is_empty() {
        return;
    }
    let mut stage = Stage::new(prefix, if found_out { &[SHORT] } else { &[] }).await;
    for (i, order) in orders.iter().enumerate() {
        let (wrong, right) = (format!("wrong {i}"), format!("right {}", i + 1));
        let (before, _) = stage.state().await;
        for act in order {
            stage.play(*act, &wrong).await;
            if found_out && *act == Act::WrongRotation {
                stage.is_told("False/CheckFailed", "True/DeliveredLastGood").await;
            }
        }
        if found_out {
            tokio::time::sleep(LONGER).await;
            assert_eq!(stage.state().await.0, before, "{order:?}");
        }
        stage.provider.down(false);
        if order.contains(&Act::WrongRotation) {
            stage.is_told("False/CheckFailed", "True/DeliveredLastGood").await;
        }
        let (now, secrets) = stage.state().await;
        assert_eq!(now, before, "{order:?}");
        assert!(!secrets.contains(&wrong), "{order:?}");
        stage.provider.accepts(&[&right]);
        stage.lab.apply(&entra(&right)).await;
        // The Secret is there before the Deployment names it, and statuses are those of before until then.
        eventually("it is delivered", SOON, async || stage.state().await.0 > before).await;
        stage.is_told("True/Verified", "True/Delivered").await;
        let (now, secrets) = stage.state().await;
        assert_eq!(now, before + 1, "{order:?}");
        assert!(!secrets.contains(&wrong), "{order:?}");
    }
    let applies =
        async |account: &ServiceAccount| stage.lab.writes_of(account).await.of("deployments").succeeded().len();
    let all = applies(&stage.accounts[0]).await + applies(&stage.accounts[1]).await;
    assert_eq!(all, orders.len() + 1);
    println!("{} orders, found out first: {found_out}: 0 wrong deliveries, one rollout each", orders.len());
    for replica in &stage.replicas {
        replica.stop().await;
    }
}

#[test]
fn there_are_sixty_orders() {
    assert_eq!(ACTS.map(|first| orders(first).len()), [12; 5]);
    let found_out = ACTS.into_iter().flat_map(orders).filter(|order| is_found_out_first(order)).count();
    assert_eq!(found_out, 14);
}

#[tokio::test]
async fn first_a_wrong_rotation() {
    no_order_delivers_what_is_wrong("order-wrong", Act::WrongRotation).await;
}

#[tokio::test]
async fn first_a_kill() {
    no_order_delivers_what_is_wrong("order-kill", Act::Kill).await;
}

#[tokio::test]
async fn first_a_change_of_leaders() {
    no_order_delivers_what_is_wrong("order-lead", Act::LeaderChange).await;
}

#[tokio::test]
async fn first_an_outage() {
    no_order_delivers_what_is_wrong("order-outage", Act::Outage).await;
}

#[tokio::test]
async fn first_too_many_requests() {
    no_order_delivers_what_is_wrong("order-busy", Act::TooManyRequests).await;
}
