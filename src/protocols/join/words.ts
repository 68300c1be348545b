/** 256 short words, no two alike to the ear or in their first four letters: a byte each. Source: join/v1 section 7. */
export const sasWords: readonly string[] = `
acid acorn actor agent alarm album amber angle anvil apple apron arena arrow aspen atlas attic bacon badge baker bamboo banjo barn basil
beach berry bike bison blanket boat bottle bread brick bucket butter cabin cactus camel candle canoe carpet castle cello chalk cherry
chimney circus clay clock cloud cobra coffee comet copper coral cotton cowboy crab crystal cube curtain daisy dancer desert diamond dinner
doctor dolphin domino donkey dragon drum duck dune eagle earth echo elbow elephant emerald engine envelope fable falcon farmer feather
fennel fiddle finger flame flute forest fossil fountain fox frost galaxy garlic gazelle giant glacier glove goblet gold gorilla granite
grape guitar hammer harbor hazel helmet heron honey hotel hunter igloo indigo insect iron island ivory jacket jaguar jelly jewel jungle
karate kayak kettle kidney kiosk kitchen koala ladder lagoon lantern laser lemon leopard library lily lizard lobster lotus lumber magnet
mango maple marble meadow melon mercury minute mirror monsoon moss motor muffin museum mustard napkin nectar needle nickel ninja north
nugget oasis ocean octopus olive onion opera orbit orchid otter oyster paddle panda paper parrot peanut pepper piano pigeon pillow pirate
planet plum pocket polar potato prism pumpkin puzzle python quartz queen quilt rabbit radar raven ribbon river robin robot ruby salmon
sandal satin saturn school scooter shadow shovel silver sketch spider squirrel statue summer sunset tailor teapot temple thunder tiger
timber tomato tower tractor trumpet tulip tunnel turtle umbrella unicorn valley vanilla velvet vessel violin volcano waffle walnut wasp
whale window winter wolf yellow yogurt zebra zephyr zigzag zinc
`
  .trim()
  .split(/\s+/)
