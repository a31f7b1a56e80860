"""What an adapter is held against: sentences to keep, texts to read, and questions that everybody answers alike.

Written for this package. The sentences are for training, the texts and questions for the gates; none is in both.
"""

from __future__ import annotations

RETAINED = (
    "The bread rises because the yeast turns sugar into gas, and the gas is caught in the dough.",
    "To change a flat tyre, loosen the nuts first, then lift the car with the jack and take the wheel off.",
    "The committee met on Thursday and agreed to publish the report before the end of the month.",
    "Water boils at a lower temperature in the mountains, since the air presses less on its surface.",
    "She opened the window, listened to the rain for a while, and went back to her letter.",
    "In many languages the verb stands at the end of the sentence, which surprises beginners.",
    "A list is sorted by comparing neighbours and swapping them until nothing has to be swapped.",
    "The river floods the fields every spring and leaves a layer of dark, fertile soil behind.",
    "Prices rose by two per cent last year, mostly because energy became more expensive.",
    "The old lighthouse was built of granite, and its lamp could be seen from twenty miles away.",
    "When the light turns red, the cars stop and the people cross the street.",
    "A good knife needs a sharp edge, a firm handle, and somebody who looks after it.",
    "The experiment was repeated three times, and each time the result was the same.",
    "Plants take in carbon dioxide through small openings on the underside of their leaves.",
    "He had promised to be home by six, but the last train was late again.",
    "The function returns the first element of the list, or nothing when the list is empty.",
    "Most birds that winter in the south come back in March, when the insects return.",
    "The museum is closed on Mondays; on all other days it opens at ten o'clock.",
    "Nobody knew where the music came from, yet everybody in the square began to dance.",
    "Cut the onions finely, fry them in butter until they are golden, and add the rice.",
    "The treaty ended the war, but it did not settle the question of the border.",
    "An engine turns heat into motion, and some of the heat is always lost.",
    "I would like to thank everyone who helped us to finish the project in time.",
    "If you add the two equations, the second unknown disappears and the first is easy to find.",
)

UNRELATED = (
    "Photosynthesis is the way in which green plants make sugar from light, water and carbon dioxide. The"
    " oxygen that we breathe is a by-product of it.",
    "The ship left the harbour at dawn. By noon the wind had turned, and the captain ordered the crew to "
    "take in the sails before the storm arrived.",
    "A computer program is a list of instructions. The machine follows them one after another, very "
    "quickly, and does exactly what it is told.",
    "In the nineteenth century railways changed how people thought about distance. A journey that had "
    "taken a week could now be made in a single day.",
    "To make a simple soup, fry some garlic and leeks in oil, add potatoes and stock, and let everything "
    "cook slowly for half an hour.",
    "The committee could not agree on a date for the next meeting, so the chair proposed to ask every "
    "member by letter.",
    "Glaciers move slowly downhill under their own weight. They carry stones with them, and carve wide "
    "valleys out of the mountains.",
    "A healthy diet contains vegetables, fruit, grains and enough water. Too much salt and sugar can harm"
    " the heart in the long run.",
    "The judge listened to both sides, asked a few short questions, and announced that she would give her"
    " decision in the following week.",
    "Sound travels faster through water than through air, which is why whales can hear each other over "
    "hundreds of miles.",
)

QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is the capital of France?", ("paris",)),
    ("What is the capital of Italy?", ("rome",)),
    ("What is the capital of Japan?", ("tokyo",)),
    ("What is the capital of Germany?", ("berlin",)),
    ("What is the capital of Spain?", ("madrid",)),
    ("What is the capital of England?", ("london",)),
    ("What is the capital of Egypt?", ("cairo",)),
    ("What is the capital of Russia?", ("moscow",)),
    ("What is the capital of China?", ("beijing",)),
    ("What is the capital of Greece?", ("athens",)),
    (
        "How many days are in a week?",
        (
            "seven",
            "7",
        ),
    ),
    (
        "How many months are in a year?",
        (
            "twelve",
            "12",
        ),
    ),
    (
        "How many hours are in a day?",
        (
            "24",
            "twenty-four",
        ),
    ),
    (
        "How many minutes are in an hour?",
        (
            "60",
            "sixty",
        ),
    ),
    (
        "How many legs does a spider have?",
        (
            "eight",
            "8",
        ),
    ),
    (
        "How many sides does a triangle have?",
        (
            "three",
            "3",
        ),
    ),
    (
        "How many continents are there?",
        (
            "seven",
            "7",
        ),
    ),
    (
        "How many wheels does a bicycle have?",
        (
            "two",
            "2",
        ),
    ),
    ("What is the largest planet in the solar system?", ("jupiter",)),
    ("Which planet do we live on?", ("earth",)),
    ("Which star is closest to the Earth?", ("sun",)),
    ("What is the largest ocean?", ("pacific",)),
    ("What is the highest mountain in the world?", ("everest",)),
    ("What is the longest river in Africa?", ("nile",)),
    ("Who wrote Romeo and Juliet?", ("shakespeare",)),
    (
        "Who painted the Mona Lisa?",
        (
            "leonardo",
            "da vinci",
        ),
    ),
    ("Who developed the theory of relativity?", ("einstein",)),
    ("Who was the first president of the United States?", ("washington",)),
    (
        "What is the chemical symbol for water?",
        (
            "h2o",
            "h₂o",
        ),
    ),
    ("What is the chemical symbol for gold?", ("au",)),
    ("Which gas do humans need to breathe?", ("oxygen",)),
    (
        "What is the freezing point of water in Celsius?",
        (
            "0",
            "zero",
        ),
    ),
    ("At what temperature does water boil in Celsius?", ("100",)),
    (
        "What is 2 + 2?",
        (
            "4",
            "four",
        ),
    ),
    (
        "What is 5 + 3?",
        (
            "8",
            "eight",
        ),
    ),
    (
        "What is 10 minus 4?",
        (
            "6",
            "six",
        ),
    ),
    (
        "What is 3 times 3?",
        (
            "9",
            "nine",
        ),
    ),
    (
        "What is half of 10?",
        (
            "5",
            "five",
        ),
    ),
    ("What colour is the sky on a clear day?", ("blue",)),
    ("What colour do you get when you mix blue and yellow?", ("green",)),
    ("What do bees make?", ("honey",)),
    ("Which animal is known as the king of the jungle?", ("lion",)),
    (
        "What is a baby dog called?",
        (
            "puppy",
            "pup",
        ),
    ),
    ("What is the opposite of hot?", ("cold",)),
    ("What is the opposite of up?", ("down",)),
    ("What language do people speak in Brazil?", ("portuguese",)),
    ("What is frozen water called?", ("ice",)),
    ("Which season comes after winter?", ("spring",)),
)
"""Each with what a right answer holds, any of it."""
