/** How long leaving may take: what a drain has to fit into, with nothing else needed to know it. */

/** What a worker may take beyond its drain, for its last words; then systemd kills it, and SQS hands out again what it held. */
export const STOP_MARGIN_SECONDS = 30;
/** Up to this passes before a worker has asked whether to leave, and its metadata service has answered. */
const NOTICE_MAX_SECONDS = 15;
/** Until a word to the group has been heard, tried again where need be. */
const WORD_MAX_SECONDS = 15;
/** For what is not the drain itself. */
export const LEAVE_MARGIN_SECONDS = NOTICE_MAX_SECONDS + STOP_MARGIN_SECONDS + WORD_MAX_SECONDS;
/** What Auto Scaling takes for the timeout of a hook. */
export const HOOK_MAX_SECONDS = 7_200;
/** A Spot notice comes two minutes ahead: less what passes until it is heard, and ten seconds for last words. */
export const SPOT_DRAIN_MAX_SECONDS = 100;
