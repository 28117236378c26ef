//! A server whose machine loses its power under load, repeatedly: nothing acknowledged is lost, no withdrawn dialog comes
//! back, and none of its bytes is left once the server runs again.
//!
//! `DATAAPI_CRASH_ROUNDS` sets how often, `DATAAPI_CRASH_SEED` fixes what the clients do and what the disk keeps, but
//! not how their requests are interleaved. `dataapi-sqlite/tests/power_loss` loses the power far more often.

use power_loss::{Disk, Image, Loss, may_mount_disk};

use crate::load::{Choices, Dialogs, Load, check, client, from_env, left_in_files, withdrawn_in};
use crate::program::{Program, store_in};

const CLIENTS: usize = 12;

#[tokio::test]
async fn a_server_that_loses_its_power_loses_nothing_acknowledged_and_brings_nothing_back() {
    const TEST: &str = "power_loss::a_server_that_loses_its_power_loses_nothing_acknowledged_and_brings_nothing_back";
    if !may_mount_disk(TEST) {
        return;
    }
    let rounds = from_env("DATAAPI_CRASH_ROUNDS").unwrap_or(8);
    let mut choices = Choices::seeded("DATAAPI_CRASH_SEED");
    let (mut dialogs, mut left_on_disk) = (Dialogs::new(), Image::default());
    for round in 0..=rounds {
        let disk = Disk::mount_again(&left_on_disk).expect("a disk");
        let store = store_in(disk.path());
        let mut program = Program::start(&store, &[]);
        let left = left_in_files(&store);
        let closer = if round == 0 { String::new() } else { format!("r{}c", round - 1) };
        check(&client(), &program, &mut dialogs, &closer).await;
        let none: [&String; 0] = [];
        assert_eq!(withdrawn_in(&left, &dialogs), none, "bytes of withdrawn dialogs are left");

        let mut load = Load::start(CLIENTS, &format!("r{round}"), &mut choices, &program, None);
        let enough = usize::try_from(20 + choices.below(300)).expect("a small number");
        load.acknowledged(enough).await;
        let loss = match choices.below(3) {
            0 => Loss::All,
            1 => Loss::Pages,
            _ => Loss::Sectors,
        };
        let seed = choices.below(u64::MAX);
        let cut = || left_on_disk = disk.cut_power(loss, seed);
        dialogs.append(&mut load.kill_after(&mut program, cut).await);
    }
    println!("{rounds} losses of power, {} dialogs", dialogs.len());
}
