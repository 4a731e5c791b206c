//! Which namespaces are watched.

use crate::{
    fixtures::{PLATFORM, SSO, azure_sso, entra, platform},
    harness::Lab,
};

#[tokio::test]
async fn several_namespaces_are_watched_and_no_other() {
    let mut first = Lab::new("scope-a").await;
    let second = Lab::new("scope-b").await;
    let other = Lab::new("scope-c").await;
    for lab in [&first, &second, &other] {
        lab.apply(&platform()).await;
        lab.apply(&entra("s3cr3t")).await;
        lab.apply(&azure_sso("sso")).await;
    }
    first.grant(&second.namespace).await;
    first.grant(&other.namespace).await;
    first.watched = vec![first.namespace.clone(), second.namespace.clone()];
    let operator = first.start().await;
    for lab in [&first, &second] {
        lab.wait(SSO, "Ready").await;
    }
    assert_eq!(other.get(SSO).await["status"]["observedGeneration"], 0);
    assert_eq!(other.get(PLATFORM).await["metadata"]["generation"], 1);
    operator.stop().await;
    let namespaces: std::collections::BTreeSet<String> =
        first.writes().await.into_iter().map(|write| write.namespace).collect();
    assert_eq!(namespaces, [first.namespace.clone(), second.namespace.clone()].into());
}
