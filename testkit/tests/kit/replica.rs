//! A second API server tells what is so, and while it lags, what was so.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use testkit::{ControlPlane, eventually};

use crate::objects::{DEADLINE, config_map};

#[tokio::test]
async fn a_second_api_server_lags_and_catches_up() {
    let plane = ControlPlane::shared().await;
    let namespace = plane.namespace("replica").await;
    let replica = plane.replica().await;
    let first = Api::<ConfigMap>::namespaced(plane.admin(), &namespace);
    let second = Api::<ConfigMap>::namespaced(replica.admin(), &namespace);
    // As old as it has it.
    let names = async |of: &Api<ConfigMap>| {
        let list = of.list(&ListParams::default().match_any()).await.unwrap();
        list.iter().map(ResourceExt::name_any).filter(|name| name != "kube-root-ca.crt").collect::<Vec<_>>()
    };
    let tells = async |expected: &[&str]| {
        eventually("the second API server tells what is so", DEADLINE, async || {
            let told = names(&second).await;
            if told == expected { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
    };
    first.create(&PostParams::default(), &config_map("before")).await.unwrap();
    tells(&["before"]).await;

    replica.lag();
    first.create(&PostParams::default(), &config_map("meanwhile")).await.unwrap();
    first.delete("before", &DeleteParams::default()).await.unwrap();
    assert_eq!(names(&first).await, ["meanwhile"]);
    assert_eq!(names(&second).await, ["before"]);

    replica.catch_up();
    tells(&["meanwhile"]).await;
}
