// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;

const PUBLISH_OFFER: &str = include_str!("../../../../tests/data/wcs/page-publish-offer.sdp");
const PUBLISH_ANSWER: &str = include_str!("../../../../tests/data/wcs/page-publish-answer.sdp");
const PLAY_OFFER: &str = include_str!("../../../../tests/data/wcs/page-play-offer.sdp");
const PLAY_ANSWER: &str = include_str!("../../../../tests/data/wcs/page-play-answer.sdp");

fn offer() -> Offer {
    Offer::new(PUBLISH_OFFER).unwrap()
}

fn answer(text: &str) -> Result<Answer, SdpError> {
    Answer::new(text, &offer())
}

/// What is in one text and not in the other, by line.
fn difference<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    let mut rest: Vec<_> = other.lines().collect();
    one.lines()
        .filter(|line| match rest.iter().position(|other| other == line) {
            Some(at) => {
                rest.remove(at);
                false
            }
            None => true,
        })
        .collect()
}

#[test]
fn the_answers_of_the_page_lack_nothing_but_setup() {
    for (offered, answered) in [(PUBLISH_OFFER, PUBLISH_ANSWER), (PLAY_OFFER, PLAY_ANSWER)] {
        let offer = Offer::new(offered).unwrap();
        let answer = Answer::new(answered, &offer).unwrap();
        assert_eq!(difference(answered, answer.as_str()), [] as [&str; 0]);
        assert_eq!(
            difference(answer.as_str(), answered),
            ["a=setup:active", "a=setup:active"]
        );
        assert_eq!(answer.fingerprints().len(), 2);
        // It is in order already.
        let again = Answer::new(answer.as_str(), &offer).unwrap();
        assert_eq!(again, answer);
    }
}

#[test]
fn an_offer_is_sent_without_candidates() {
    let ours = PUBLISH_OFFER.replace(
        "a=rtcp-mux\r\n",
        "a=rtcp-mux\r\na=candidate:1 1 UDP 2015363327 192.0.2.1 40000 typ host\r\na=end-of-candidates\r\n",
    );
    let ours = ours.replace(" opus/48000/2", " OPUS/48000/2");
    let offer = Offer::new(&ours).unwrap();
    assert_eq!(offer.as_str(), PUBLISH_OFFER);
    // Wherever it stands.
    let before = PUBLISH_OFFER.replace(
        "t=0 0\r\n",
        "t=0 0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n",
    );
    assert_ne!(before, PUBLISH_OFFER);
    assert_eq!(Offer::new(&before).unwrap().as_str(), PUBLISH_OFFER);
    let mids: Vec<_> = offer.sections().iter().map(|s| s.mid.as_str()).collect();
    assert_eq!(mids, ["audio", "video"]);
    assert!(offer.has("audio") && offer.has("video") && !offer.has("application"));
}

#[test]
fn what_was_said_for_all_sections_is_said_in_each() {
    let lines = |name: &str| {
        let at = PUBLISH_ANSWER.find(name).unwrap();
        PUBLISH_ANSWER[at..].lines().next().unwrap()
    };
    let common = ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint"].map(lines);
    let mut text = PUBLISH_ANSWER.to_owned();
    for line in common {
        text = text.replace(&format!("{line}\r\n"), "");
    }
    let head = format!(
        "t=0 0\r\na=setup:passive\r\na=group:BUNDLE audio video\r\n{}\r\n",
        common.join("\r\n")
    );
    let text = text.replace("t=0 0\r\n", &head);
    let answer = answer(&text).unwrap();
    for line in common {
        assert_eq!(answer.as_str().matches(line).count(), 3, "{line}");
    }
    assert_eq!(answer.as_str().matches("a=setup:passive").count(), 3);
    assert!(!answer.as_str().contains("BUNDLE"));
}

#[test]
fn sections_get_the_mids_of_the_offer() {
    for text in [
        PUBLISH_ANSWER
            .replace("a=mid:audio\r\n", "")
            .replace("a=mid:video\r\n", ""),
        PUBLISH_ANSWER
            .replace("a=mid:audio", "a=mid:0")
            .replace("a=mid:video", "a=mid:1"),
        PUBLISH_ANSWER.replace("a=mid:audio\r\n", "a=mid:x\r\na=mid:y\r\n"),
    ] {
        let answer = answer(&text).unwrap();
        assert_eq!(answer.as_str().matches("a=mid:").count(), 2);
        let (audio, video) = answer.as_str().split_once("m=video").unwrap();
        assert!(audio.contains("a=mid:audio\r\n"));
        assert!(video.contains("a=mid:video\r\n"));
    }
}

#[test]
fn sections_in_another_order_are_found_by_their_mids() {
    let (head, rest) = PUBLISH_ANSWER.split_once("m=audio").unwrap();
    let (audio, video) = rest.split_once("m=video").unwrap();
    let turned = format!("{head}m=video{video}m=audio{audio}");
    assert_eq!(answer(&turned), answer(PUBLISH_ANSWER));
    let lost = turned.replace("a=mid:", "a=mud:");
    assert!(matches!(answer(&lost), Err(SdpError::Kind { .. })));
}

#[test]
fn setup_is_chosen_by_the_answerer() {
    for (said, done) in [
        ("active", "active"),
        ("passive", "passive"),
        ("actpass", "active"),
        ("holdconn", "active"),
        ("", "active"),
    ] {
        let with = format!("a=rtcp-mux\r\na=setup:{said}\r\n");
        let answer = answer(&PUBLISH_ANSWER.replace("a=rtcp-mux\r\n", &with)).unwrap();
        let setups: Vec<_> = answer
            .as_str()
            .lines()
            .filter(|line| line.starts_with("a=setup"))
            .collect();
        let wanted = format!("a=setup:{done}");
        assert_eq!(setups, [wanted.as_str(); 2], "{said}");
    }
}

#[test]
fn payload_types_that_were_not_offered_go() {
    let text = PUBLISH_ANSWER
        .replace("SAVPF 111 8 9", "SAVPF 77 111 8 9")
        .replace(
            "a=ptime:20\r\n",
            "a=rtpmap:77 speex/8000\r\na=fmtp:77 x=1\r\na=rtcp-fb:77 nack\r\na=ptime:20\r\n",
        );
    assert_eq!(answer(&text), answer(PUBLISH_ANSWER));
}

#[test]
fn rejected_sections_are_named() {
    let audio = PUBLISH_ANSWER.replace("m=audio 31686", "m=audio 0");
    let rejected = |kinds: &[&str]| {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Err(SdpError::Rejected(kinds))
    };
    assert_eq!(answer(&audio), rejected(&["audio"]));
    let video = PUBLISH_ANSWER.replace("100 127 102 125 96", "70 71");
    assert_eq!(answer(&video), rejected(&["video"]));
    let both = audio.replace("m=video 31920", "m=video 0");
    assert_eq!(answer(&both), Err(SdpError::NoCommonCodecs));
    assert_eq!(SdpError::NoCommonCodecs.to_string(), "No common codecs");
}

#[test]
fn what_cannot_be_put_in_is_an_error() {
    let without = |prefix: &str| {
        let lines = PUBLISH_ANSWER.lines().filter(|l| !l.starts_with(prefix));
        lines.collect::<Vec<_>>().join("\n")
    };
    for (text, wanted) in [
        (String::new(), SdpError::NoMedia),
        ("hello, world".into(), SdpError::NoMedia),
        ("v=0\r\ns=-\r\n".into(), SdpError::NoMedia),
        (without("a=fingerprint"), SdpError::NoFingerprint),
        (without("a=ice-ufrag"), SdpError::NoIceCredentials),
        (without("a=ice-pwd"), SdpError::NoIceCredentials),
        (
            PUBLISH_ANSWER.split("m=video").next().unwrap().into(),
            SdpError::Sections {
                offered: 2,
                answered: 1,
            },
        ),
        (
            PUBLISH_ANSWER.replace("SHA-256 33", "md5 33"),
            SdpError::Fingerprint(format!(
                "md5 {}",
                &PUBLISH_ANSWER.split("SHA-256 ").nth(1).unwrap()[..76]
            )),
        ),
        (
            "x".repeat(limits_sdp() + 1),
            SdpError::TooLong(limits_sdp() + 1),
        ),
        (
            "m=audio 9 RTP/SAVPF 0\n".repeat(17),
            SdpError::TooMany("media"),
        ),
        (
            format!("m=audio 9 RTP/SAVPF 0\n{}", "a=candidate:1\n".repeat(65)),
            SdpError::TooMany("candidates"),
        ),
    ] {
        assert_eq!(answer(&text), Err(wanted));
    }
}

fn limits_sdp() -> usize {
    crate::protocol::wcs::limits::SDP
}

#[test]
fn a_fingerprint_is_that_of_one_certificate() {
    // SHA-256 of "abc" (FIPS 180-2), and SHA-512's of nothing.
    let abc = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
    let parse = |values: &[&str]| Fingerprint::parse(values.iter().copied());
    for value in [
        format!("sha-256 {abc}"),
        format!("SHA-256 {}", abc.to_lowercase()),
    ] {
        let fingerprint = parse(&[&value, "sha-1 00:11"]).unwrap();
        assert!(fingerprint.matches(b"abc"));
        assert!(!fingerprint.matches(b"abd"));
        assert!(!fingerprint.matches(b""));
    }
    // A stronger one decides.
    let sha512 = vec!["00"; 64].join(":");
    let fingerprint = parse(&[&format!("sha-256 {abc}"), &format!("sha-512 {sha512}")]).unwrap();
    assert!(!fingerprint.matches(b"abc"));
    // Any of several of one kind.
    let zeros = format!("sha-256 {}", ["00"; 32].join(":"));
    assert!(
        parse(&[&zeros, &format!("sha-256 {abc}")])
            .unwrap()
            .matches(b"abc")
    );
    for bad in ["sha-256", "sha-256 00", "sha-256 +0:11", "md5 00", "", ":"] {
        assert!(parse(&[bad]).is_err(), "{bad}");
    }
    assert_eq!(parse(&[]), Err(SdpError::NoFingerprint));
}

#[test]
fn pem_becomes_der() {
    let pem = "x\n-----BEGIN CERTIFICATE-----\nYW\nJj\n-----END CERTIFICATE-----\n";
    assert_eq!(certificate_der(pem).unwrap(), b"abc");
    for bad in [
        "",
        "YWJj",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
    ] {
        assert_eq!(certificate_der(bad), None);
    }
}

proptest! {
    /// Cut, doubled and shuffled lines: an answer that is taken has what each section needs.
    #[test]
    fn an_answer_that_is_taken_is_complete(picks in prop::collection::vec(0usize..200, 0..80)) {
        let lines: Vec<_> = PLAY_ANSWER.lines().collect();
        let text: String = picks.iter().filter_map(|at| lines.get(at % (lines.len() + 5)))
            .flat_map(|line| [line, "\n"]).collect();
        let text = format!("{PLAY_ANSWER}{text}");
        if let Ok(answer) = Answer::new(&text, &Offer::new(PLAY_OFFER).unwrap()) {
            prop_assert_eq!(answer.fingerprints().len(), 2);
            for section in answer.as_str().split("m=").skip(1) {
                for name in ["setup", "mid", "ice-ufrag", "ice-pwd"] {
                    let needle = format!("a={name}:");
                    prop_assert_eq!(section.matches(needle.as_str()).count(), 1);
                }
            }
        }
    }
}
