//! Sessions that name two relays, one of which dies.

use crate::RelayAddress;

use super::*;

/// The longest time until the link goes on over another relay: that of the interruption, and of the
/// resume.
const OTHER_RELAY_BAR: Duration = Duration::from_millis(5_000);

/// Adds a second relay to the lab.
fn start_two(access: Access) -> Option<(Machines, Server)> {
    let mut machines = Machines::start(access)?;
    let mut address = machines.relay_address;
    address.set_port(81);
    machines.relay.others = vec![RelayAddress {
        url: format!("http://{address}"),
        quic_port: None,
    }];
    let second = machines.spawn_relay(address);
    Some((machines, second))
}

fn relay_only() -> Access {
    Access {
        firewall: Firewall::NoUdp,
        ..Access::default()
    }
}

#[test]
fn a_link_goes_on_over_another_relay_when_one_dies() {
    let Some((mut machines, second)) = start_two(relay_only()) else {
        return;
    };
    let said = machines.link_and_resume();
    let first = said.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(first, (Side::Agent, Said::Linked));
    let expect_resumed = |what: &str| {
        let gone = Instant::now();
        expect_both(&said, Said::Interrupted);
        expect_both(&said, Said::Resumed);
        let took = gone.elapsed();
        eprintln!("{what}: over the other relay after {took:?}");
        assert!(took <= OTHER_RELAY_BAR, "{what}: {took:?}");
    };
    machines.end_relay();
    expect_resumed("the first one dies");
    machines.start_relay();
    run(&machines.service, async move {
        second.shutdown().await.unwrap()
    });
    expect_resumed("the second one dies");
}

#[test]
fn a_customer_who_waits_goes_to_another_relay_and_names_it() {
    let Some((mut machines, _second)) = start_two(relay_only()) else {
        return;
    };
    let customer = Arc::new(machines.bind_customer());
    let first = customer.address();
    let waiting = customer.clone();
    run(&machines.customer, async move {
        while !waiting.is_relay_connected() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        waiting.look_after_relay().await;
    });
    machines.end_relay();
    let gone = Instant::now();
    let waiting = customer.clone();
    let address = run(&machines.customer, async move {
        loop {
            waiting.look_after_relay().await;
            let address = waiting.address();
            if address != first && waiting.is_relay_connected() {
                return address;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    eprintln!("waits at the other relay after {:?}", gone.elapsed());
    machines.customer.spawn(async move {
        let Attempt::Authenticated(link) = customer.accept(&params()).await else {
            return;
        };
        beat_customer(link.split(), customer).await;
    });
    // The service leads the agent's end to the customer's relay.
    let second = machines.relay.others[0].url.clone();
    machines.relay.others[0].url = std::mem::replace(&mut machines.relay.url, second);
    let (connection, _) = machines.dial(address);
    machines.expect_heard(&connection, PathKind::Relayed, 3);
}
