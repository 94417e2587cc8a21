#include "drivers/console/gateway_config.h"

CONFIG_DEFINE(GatewayConfig, gateway_config, GATEWAY_OPTIONS)
