//! Addresses at which somebody should answer.

use testkit::Azure;
use testkit::azure::{Fault, Service::Databricks, Service::Graph};
use timbr_identity::compose::Probe;

use super::{is, tried, url};

#[tokio::test]
async fn somebody_answers_or_nobody() {
    let azure = Azure::start();
    let at = azure.url(Graph).to_owned();
    let host = at.trim_start_matches("https://");
    let site = Probe::Site(at.clone());
    let sentence = format!("{host} answers, and its certificate is trusted");
    for fault in [None, Some(Fault::Html), Some(Fault::Redirect("https://login.example.com/".to_owned()))] {
        if let Some(fault) = fault {
            azure.always(Graph, fault);
        }
        is(&tried(&azure, &site).await, "Passed", &sentence);
    }
    azure.always(Graph, Fault::Close);
    assert_eq!(tried(&azure, &site).await.reason.as_str(), "Unreachable");
    assert_eq!(tried(&azure, &Probe::Site("https://nobody.invalid".to_owned())).await.reason.as_str(), "Unreachable");
}

#[tokio::test]
async fn a_workspace_is_told_from_another_site() {
    let azure = Azure::start();
    let workspace = |service| {
        let url = url(&azure, service);
        let host = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
        (Probe::Workspace(host.clone()), host)
    };
    let (probe, host) = workspace(Databricks);
    is(&tried(&azure, &probe).await, "Passed", &format!("Databricks workspace {host} answers"));
    assert_eq!(azure.violations(), [] as [&str; 0]);
    let (probe, _) = workspace(Graph);
    assert_eq!(tried(&azure, &probe).await.reason.as_str(), "Unreadable");
}
