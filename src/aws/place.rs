//! Which region and host a queue's URL means.

use http::Uri;

use crate::aws::Settings;
use crate::ports::QueueAddress;

/// Where to ask for a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// What the request is signed for.
    pub region: String,
    /// Scheme, host and port.
    pub endpoint: String,
}

/// Where this queue is served; `None` if its address is no URL.
pub(super) fn of_queue(queue: &QueueAddress, settings: &Settings) -> Option<Place> {
    let url: Uri = queue.as_str().parse().ok()?;
    let (scheme, host) = (url.scheme_str()?, url.authority()?);
    let endpoints = &settings.endpoints;
    let endpoint = endpoints.or_every(endpoints.sqs.as_ref()).unwrap_or_else(|| format!("{scheme}://{host}"));
    let region = region_of(host.host()).unwrap_or(&settings.region).to_owned();
    matches!(scheme, "http" | "https").then_some(Place { region, endpoint })
}

/// Where the queues are that are known by name alone.
pub(super) fn of_names(settings: &Settings) -> Place {
    let Settings { region, endpoints } = settings;
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let own = endpoints.or_every(endpoints.sqs.as_ref());
    Place {
        region: region.clone(),
        endpoint: own.unwrap_or_else(|| format!("https://sqs.{region}.{domain}")),
    }
}

/// The region in a host of Amazon's: `sqs.eu-west-1.amazonaws.com`, `sqs-fips.…`, `vpce-….sqs.….vpce.amazonaws.com`,
/// and the old `eu-west-1.queue.amazonaws.com` and `queue.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let own = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com")?;
    if own == "queue" {
        return Some("us-east-1");
    }
    if let Some(region) = own.strip_suffix(".queue") {
        return Some(region);
    }
    let mut labels = own.split('.');
    labels.find(|label| matches!(*label, "sqs" | "sqs-fips"))?;
    labels.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Endpoints;

    fn place(url: &str, endpoints: Endpoints) -> Option<(String, String)> {
        let settings = Settings { region: "eu-north-1".to_owned(), endpoints };
        of_queue(&QueueAddress::new(url), &settings).map(|place| (place.region, place.endpoint))
    }

    #[test]
    fn a_url_tells_region_and_endpoint() {
        for (url, region, endpoint) in [
            (
                "https://sqs.us-east-1.amazonaws.com/1/q.fifo",
                "us-east-1",
                "https://sqs.us-east-1.amazonaws.com",
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
                "cn-north-1",
                "https://sqs.cn-north-1.amazonaws.com.cn",
            ),
            (
                "https://sqs-fips.us-west-2.amazonaws.com/1/q",
                "us-west-2",
                "https://sqs-fips.us-west-2.amazonaws.com",
            ),
            (
                "https://vpce-1-2.sqs.us-east-2.vpce.amazonaws.com/1/q",
                "us-east-2",
                "https://vpce-1-2.sqs.us-east-2.vpce.amazonaws.com",
            ),
            (
                "https://eu-west-1.queue.amazonaws.com/1/q",
                "eu-west-1",
                "https://eu-west-1.queue.amazonaws.com",
            ),
            ("https://queue.amazonaws.com/1/q", "us-east-1", "https://queue.amazonaws.com"),
            ("http://127.0.0.1:4566/1/q.fifo", "eu-north-1", "http://127.0.0.1:4566"),
            ("https://sqs.example.org/1/q", "eu-north-1", "https://sqs.example.org"),
        ] {
            let expected = Some((region.to_owned(), endpoint.to_owned()));
            assert_eq!(place(url, Endpoints::default()), expected, "{url}");
        }
    }

    #[test]
    fn a_setting_wins_over_the_url_but_the_region_stays() {
        let url = "https://sqs.us-east-1.amazonaws.com/1/q.fifo";
        let every = Endpoints { every: Some("http://127.0.0.1:1".to_owned()), ..Endpoints::default() };
        assert_eq!(
            place(url, every.clone()),
            Some(("us-east-1".to_owned(), "http://127.0.0.1:1".to_owned()))
        );
        let own = Endpoints { sqs: Some("http://127.0.0.1:2".to_owned()), ..every };
        assert_eq!(place(url, own), Some(("us-east-1".to_owned(), "http://127.0.0.1:2".to_owned())));
    }

    #[test]
    fn names_are_looked_for_where_the_settings_say() {
        let names =
            |region: &str, endpoints| of_names(&Settings { region: region.to_owned(), endpoints }).endpoint;
        assert_eq!(names("eu-west-1", Endpoints::default()), "https://sqs.eu-west-1.amazonaws.com");
        assert_eq!(names("cn-north-1", Endpoints::default()), "https://sqs.cn-north-1.amazonaws.com.cn");
        let every = Endpoints { every: Some("http://127.0.0.1:1".to_owned()), ..Endpoints::default() };
        assert_eq!(names("eu-west-1", every), "http://127.0.0.1:1");
    }

    #[test]
    fn what_is_no_url_has_no_place() {
        for address in
            ["", "queue.fifo", "/1/q", "ftp://sqs.us-east-1.amazonaws.com/1/q", "http://", "https:///q"]
        {
            assert_eq!(place(address, Endpoints::default()), None, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_is_too_odd(address in ".*") {
            let _place = place(&address, Endpoints::default());
        }
    }
}
