package main

// usage is what -h prints before the variables.
const usage = `usage: bridge [-health | -version]

Answers bintu's webhooks and forwards every event to NATS JetStream.

  -health   ask the bridge that runs with this environment whether it is ready, and exit with 0 or 1
  -version  show what this program was built from, as the argument version does

Its configuration comes from the environment:

`
