// SPDX-License-Identifier: MPL-2.0

//! A message body as everything it could be: what is read, written and read again is the same.
//!
//! The first byte is the message type; the rest is the body.

#![no_main]

use gstrtmp::protocol::rtmp::message::{Aggregate, Command, Control, UserControl, type_id};
use libfuzzer_sys::fuzz_target;

/// Replacing its bad bytes makes a name three times as long at most; beyond 65 535 bytes it is cut.
const MAX_LEN: usize = 0xffff / 3;

fuzz_target!(|data: &[u8]| {
    let [type_id, body @ ..] = data else {
        return;
    };
    match *type_id {
        type_id::USER_CONTROL => {
            let Ok(event) = UserControl::parse(body) else {
                return;
            };
            let written = event.to_body();
            assert_eq!(UserControl::parse(&written), Ok(event));
        }
        type_id::COMMAND | type_id::COMMAND_AMF3 if body.len() <= MAX_LEN => {
            let Ok(command) = Command::parse(*type_id, body) else {
                return;
            };
            let _ = command.information();
            let written = command.to_body();
            let again =
                Command::parse(type_id::COMMAND, &written).expect("our own bytes are sound");
            // NaN differs from itself, its debug text does not.
            assert!(again == command || format!("{again:?}") == format!("{command:?}"));
        }
        type_id::AGGREGATE => {
            let tags = Aggregate::new(7, body).map_while(Result::ok);
            let taken: usize = tags.map(|tag| tag.as_flv().len()).sum();
            // The last back-pointer may be missing.
            assert!(taken <= body.len() + 4);
        }
        type_id => {
            if let Some(Ok(control)) = Control::parse(type_id, body) {
                let (again, written) = control.to_message();
                assert_eq!(again, type_id);
                assert_eq!(Control::parse(again, &written), Some(Ok(control)));
            }
        }
    }
});
