#include "../data/plugin-abi-1.1.h"

#define PIN_MINOR 1
#define PIN_TASK_SIZE 56
#define PIN_HOST_SIZE 88
#include "abi_frozen.h"
